#pragma once

#include <cstdint>

// What the CPU kernels take and give, as plain pointers: this header is shared by translation units
// that are compiled for different instruction sets, so nothing inline may stand here.

namespace voxpod::cpu {

/// How stored numbers are widened to float32, in which all arithmetic is done.
enum class Storage { kFloat32, kFloat16, kBFloat16, kInt8 };

/// Columns (output features) of one packed weight block, and keys of one block of a key cache.
inline constexpr int64_t kBlock = 32;

/// Queries that attend at once at most.
inline constexpr int64_t kMaxTile = 8;

enum class Epilogue {
  kNone,
  kGelu,      ///< the exact one, by erf
  kGeluTanh,  ///< the one by tanh; a TileLinear's alone, and of outputs in bfloat16
  kAdd,       ///< add to what stands in `out`
};

/// out[rows, columns] = x[rows, inner] * weight^T + bias, for few rows: a decoder's step.
/// Every output is one sum over `inner` in order, whatever the number of rows: a row's result does
/// not depend on the batch around it.
struct LinearArgs {
  const float* x;      ///< [rows, inner]
  const void* weight;  ///< packed [columns / kBlock][inner][kBlock], zero-padded
  Storage storage;     ///< of `weight`: kFloat32, kFloat16 or kInt8
  const float* scale;  ///< int8: what each column's weights are multiplied by; padded as `bias`
  const float* bias;   ///< [columns rounded up to kBlock]
  float* out;          ///< [rows, columns]
  int64_t rows;
  int64_t inner;
  int64_t columns;
  Epilogue epilogue;
};

/// One head's attention of `rows` queries over the same `length` cached keys and values, which lie
/// in blocks of kBlock positions: block i of the sequence is number pages[i] in memory.
struct AttentionArgs {
  const float* query;  ///< rows of `head` floats, `query_stride` apart
  int64_t query_stride;
  const void* key;       ///< blocks of [head][kBlock], `block_stride` numbers apart
  const void* value;     ///< blocks of [kBlock][head], `block_stride` numbers apart
  int64_t block_stride;  ///< head * kBlock where blocks follow each other
  const int32_t* pages;  ///< [ceil(length / kBlock)]; null for 0, 1, 2, ...
  Storage storage;       ///< of keys and values: kFloat32 or kBFloat16
  float* out;            ///< rows of `head` floats, `out_stride` apart
  int64_t out_stride;
  float* scratch;  ///< kMaxTile * (length rounded up to kBlock) floats
  int64_t rows;
  int64_t length;
  int64_t head;  ///< a multiple of kBlock
  float scale;   ///< of the scores, above 0
};

/// The same for the many rows of a prompt, whose values are rounded to bfloat16: `x` [rows, inner]
/// are args.x so rounded, inner is even, storage kFloat16. `scratch` holds inner * kBlock numbers.
/// Needs AVX512-BF16.
void prompt_linear_bf16(const LinearArgs& args, const uint16_t* x, uint16_t* scratch, int64_t begin,
                        int64_t end);

/// Attention of a window's positions over each other, bfloat16 throughout, sums in float32.
struct WindowAttentionArgs {
  const uint16_t* query_key_value;  ///< [time, 3, heads, head]
  uint16_t* out;                    ///< [time, heads, head]
  int64_t time;
  int64_t heads;
  int64_t head;       ///< a multiple of 32
  float scale;        ///< of the scores, above 0
  uint16_t* scratch;  ///< window_attention_scratch(time, head) numbers, aligned as float
};

inline constexpr int64_t window_attention_scratch(int64_t time, int64_t head) {
  const int64_t padded = (time + 31) / 32 * 32;
  return 2 * padded * head + 3 * 8 * padded;
}

/// One head's queries [begin, end). Needs AVX512-BF16.
void window_attention_bf16(const WindowAttentionArgs& args, int64_t head, int64_t begin,
                           int64_t end);

/// `steps` steps of an LSTM of `size` units (a multiple of kBlock), gates in the order of ONNX:
/// input, output, forget, cell.
struct LstmArgs {
  const float* gates;   ///< [steps, 4, size]: the input's part of the sums, biases included
  const float* weight;  ///< of the hidden state, packed [size / kBlock][size][4][kBlock]
  const float* hidden;  ///< [size], before the first step
  float* cell;          ///< [size], before the first step and then behind the last
  float* out;           ///< [steps, size]: the hidden states
  int64_t steps;
  int64_t size;
};

/// One row between two layers of a transformer: x += gate * delta, then out = norm(x). `size` is a
/// multiple of 16.
struct FlowRowArgs {
  float* x;            ///< [size]
  const void* delta;   ///< [size], or null for none
  const float* gate;   ///< [size], or null for ones
  void* out;           ///< [size], or null for none
  const float* scale;  ///< [size]
  const float* shift;  ///< [size]: LayerNorm(x) * (1 + scale) + shift; null: RMSNorm(x) * scale
  float epsilon;       ///< added to the variance, or the least length that RMSNorm divides by
  Storage storage;     ///< of `delta` and `out`: kFloat32 or kBFloat16
  int64_t size;
};

/// One position's heads, in place: RMSNorm, eps 1e-6, then rotary positions of pairs of neighbours.
struct RotateArgs {
  void* x;  ///< [heads, head]
  Storage storage;
  const float* norm;     ///< [head], or null for none
  const float* cosines;  ///< [head], each twice
  const float* sines;    ///< [head], each twice, first negative
  int64_t heads;
  int64_t rotated;  ///< heads, from the first
  int64_t head;     ///< a multiple of 16
};

/// Taps of the filters of a snake, its samples that one call of a thread computes at least, and the
/// channels that it needs.
inline constexpr int64_t kSnakeTaps = 12;
inline constexpr int64_t kSnakeBlock = 64;
inline constexpr int64_t kSnakeChannels = 16;

/// The activation of BigVGAN for every channel of `x` [samples, channels]: see vocoder/snake.h.
struct SnakeArgs {
  const float* x;
  const float* filter;        ///< [kSnakeTaps]
  const float* alpha;         ///< [channels]
  const float* inverse_beta;  ///< [channels]
  float* out;                 ///< [samples, channels], not `x`
  int64_t samples;
  int64_t channels;  ///< kSnakeChannels at least
};

/// The kernels of one instruction set.
struct Kernels {
  const char* name;
  /// The part of a linear layer that makes blocks [begin, end) of columns.
  void (*linear)(const LinearArgs& args, int64_t begin, int64_t end);
  void (*attention)(const AttentionArgs& args);
  /// out[i] = (x - mean) / sqrt(variance + 1e-5) * gamma + beta over one row.
  void (*layer_norm)(const float* x, const float* gamma, const float* beta, float* out,
                     int64_t size);
  /// Index of the greatest of x[0, size), the first one of equals; -1 where all are -inf.
  int64_t (*max_index)(const float* x, int64_t size);
  /// log(sum(exp(x))) over x[0, size); -inf where all are -inf.
  float (*log_sum_exp)(const float* x, int64_t size);
  void (*lstm)(const LstmArgs& args);
  /// out[i] = sqrt(real[i]^2 + imaginary[i]^2).
  void (*magnitude)(const float* real, const float* imaginary, float* out, int64_t size);
  void (*flow_row)(const FlowRowArgs& args);
  void (*rotate)(const RotateArgs& args);
  /// Rows [begin, end) of the output.
  void (*snake)(const SnakeArgs& args, int64_t begin, int64_t end);
};

extern const Kernels kAvx2;
extern const Kernels kAvx512;

}  // namespace voxpod::cpu
