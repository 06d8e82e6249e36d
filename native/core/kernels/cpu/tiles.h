#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/kernels.h"

// Kernels on AMX's tiles: matrix products of 16 rows by 64 bytes at once (Intel SDM, volume 1,
// chapter 18). Plain pointers only, as in kernels.h.

namespace voxpod::cpu {

/// Bytes of a tile.
inline constexpr int64_t kTileBytes = 1024;
/// Rows of x that are packed and computed together.
inline constexpr int64_t kPanelRows = 32;

/// Weights of a linear layer as tiles: [columns / kBlock][steps][2] of kTileBytes, zero-padded. A
/// tile holds 16 columns, and 64 bytes of the inner dimension of each: 32 bfloat16 or 64 int8.
enum class TileWeight { kBFloat16, kInt8 };

inline constexpr int64_t tile_steps(TileWeight type, int64_t inner) {
  const int64_t numbers = type == TileWeight::kInt8 ? 64 : 32;
  return (inner + numbers - 1) / numbers;
}

inline constexpr int64_t tile_weight_bytes(TileWeight type, int64_t columns, int64_t inner) {
  return (columns + kBlock - 1) / kBlock * tile_steps(type, inner) * 2 * kTileBytes;
}

/// Packs blocks [begin, end) of kBlock rows of `source` [columns, inner], contiguous. For int8 each
/// row becomes whole numbers from -127 to 127, and `scale` [columns] gets what to multiply them by.
void pack_tile_weight(TileWeight type, const void* source, Storage storage, int64_t columns,
                      int64_t inner, int64_t begin, int64_t end, void* out, float* scale);
/// Row `row` of a packed weight, as float32: [inner].
void unpack_tile_row(TileWeight type, const void* weight, const float* scale, int64_t inner,
                     int64_t row, float* out);

/// out[rows, columns] = x[rows, inner] * weight^T + bias. Every output is one sum over `inner` in
/// order, whatever the number of rows.
struct TileLinearArgs {
  const void* x;   ///< [rows, inner]
  int64_t stride;  ///< numbers from a row of x to the next
  Storage input;   ///< kFloat32 or kBFloat16
  /// Takes each float32 as the sum of two numbers of the weights' type, so that only the weights
  /// are rounded to 8 bits; else x is rounded, too. int8 weights want it.
  bool wide;
  TileWeight type;
  const void* weight;  ///< packed
  const float* scale;  ///< [columns rounded up to kBlock], int8 only
  const float* bias;   ///< [columns rounded up to kBlock]
  void* out;           ///< [rows, columns]
  Storage output;      ///< kFloat32, or kBFloat16 (not with kAdd; GELU is less exact there)
  int64_t rows;
  int64_t inner;
  int64_t columns;
  Epilogue epilogue;
  bool streamed;  ///< weights come from memory, not from a cache: they are asked for ahead
};

inline constexpr int64_t panels_of(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
/// Bytes of a packed panel of x with the scales of its rows.
int64_t panel_bytes(const TileLinearArgs& args);
/// Packs rows [panel * kPanelRows, ...) of x into `packed`, aligned to 64 bytes.
void pack_panel(const TileLinearArgs& args, int64_t panel, uint8_t* packed);
/// Computes blocks [begin, end) of columns for panels [first, last), which lie in `packed`.
void tile_linear(const TileLinearArgs& args, int64_t first, int64_t last, const uint8_t* packed,
                 int64_t begin, int64_t end);

/// Bytes of one head's packed keys and values, and of the scratch of a few queries' attention over
/// them; both are aligned to 64. `head` is a multiple of 32.
int64_t tile_head_bytes(TileWeight type, int64_t time, int64_t head);
int64_t tile_scores_bytes(int64_t time);
int64_t tile_window_bytes(int64_t head);
/// Packs one head's keys and values, each [time] rows of `head` bfloat16, `stride` apart. In int8
/// every position has its own scales.
void pack_head_tiles(TileWeight type, const uint16_t* keys, const uint16_t* values, int64_t stride,
                     int64_t time, int64_t head, uint8_t* packed);
/// Key of position `time`, unpacked: [head].
void unpack_key(TileWeight type, const uint8_t* packed, int64_t time, int64_t head,
                int64_t position, float* out);

/// One head's queries [begin, end), `begin` a multiple of kPanelRows, over keys and values packed
/// in bfloat16; args.scratch is not used. `scratch` has tile_window_bytes(args.head).
void window_attention_tiles(const WindowAttentionArgs& args, int64_t head, int64_t begin,
                            int64_t end, const uint8_t* packed, uint8_t* scratch);

/// One head's attention of at most 16 float32 queries over `time` packed keys and values.
struct TileAttentionArgs {
  const float* query;  ///< rows of `head` floats, `query_stride` apart
  int64_t query_stride;
  TileWeight type;
  const uint8_t* packed;
  float* out;  ///< rows of `head` floats, `out_stride` apart
  int64_t out_stride;
  int64_t rows;
  int64_t time;
  int64_t head;
  float scale;  ///< of the scores, above 0
};

void cross_attention_tiles(const TileAttentionArgs& args, uint8_t* scratch);

/// One group of a convolution over time of `kernel` taps, Mish behind it.
struct TileConvolutionArgs {
  /// [rows rounded up to kPanelRows, and kernel - 1 more; group], zeros around the rows as padding;
  /// what lies behind it may be anything.
  const uint16_t* x;
  const void* weight;  ///< of a linear layer [group, kernel * group], packed in bfloat16
  const float* bias;   ///< [group]
  uint16_t* next;      ///< [rows, group], or null to add to `sum`
  float* sum;          ///< rows of `group` floats, `sum_stride` apart
  int64_t sum_stride;
  int64_t rows;
  int64_t group;  ///< a multiple of kBlock
  int64_t kernel;
};

void convolution_tiles(const TileConvolutionArgs& args);

/// Rows of `size` floats, a multiple of 32, `stride` apart, to bfloat16 [rows, size].
void narrow_tiles(const float* x, int64_t stride, int64_t rows, int64_t size, uint16_t* out);

}  // namespace voxpod::cpu
