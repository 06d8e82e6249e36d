// Attention of a window's positions over each other on tiles, bfloat16 with sums in float32. One
// head's keys and values are packed as the tiles' right side. 32 queries pass over 128 keys at a
// time, so that scores and weights stay in the first-level cache beside the keys that pass by:
// that matters more than to take exponentials beside the products, which gains nothing.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_head.inl"
#include "kernels/cpu/tile_linear.inl"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::WindowAttentionArgs;

/// 2^x by a polynomial of 2^r on [0, 1] of least greatest relative error: below 3e-6.
inline Vec exp2_of(Vec x) {
  const Vec r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Vec p = set1(0.0135341696F);
  p = fma(p, r, set1(0.0520114638F));
  p = fma(p, r, set1(0.241442755F));
  p = fma(p, r, set1(0.693003833F));
  p = fma(p, r, set1(1.00000262F));
  return _mm512_scalef_ps(p, x);
}

/// The same, relative error below 8e-5, where it is rounded to bfloat16.
inline Vec rounded_exp2_of(Vec x) {
  const Vec r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Vec p = set1(0.0780245438F);
  p = fma(p, r, set1(0.226067185F));
  p = fma(p, r, set1(0.695833504F));
  p = fma(p, r, set1(0.999925196F));
  return _mm512_scalef_ps(p, x);
}

/// Blocks of kBlock keys whose weights are held at once.
constexpr int64_t kChunk = 4;

/// Scores of 32 queries become weights exp2(score * scale - offset): any offset that neither lets
/// the sum overflow nor its terms vanish gives the same shares. One by the greatest score of the
/// first keys does, unless later ones exceed it by so much as is nearly never seen.
struct Softmax {
  float scale;  ///< to powers of two
  alignas(64) float offset[kPanelRows] = {};
  alignas(64) float total[kPanelRows][kWidth];
};

/// The first keys' greatest weight is 2^-kRoom, and another may be 2^(126 + kRoom) times as great.
constexpr float kRoom = 60;
/// Sums above it may have overflown: a million terms, times values that are below a million.
constexpr float kGreatestSum = 1e26F;

/// 32 queries against 32 keys.
inline void score_block(const uint8_t* queries, const uint8_t* keys, int64_t steps, Sums& scores) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    _tile_loadd(4, queries + step * 2 * kTileBytes, 64);
    _tile_loadd(6, keys, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, keys + kTileBytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, queries + (step * 2 + 1) * kTileBytes, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    keys += 2 * kTileBytes;
  }
  constexpr int64_t kStride = sizeof(scores.of[0]);
  _tile_stored(0, scores.of[0], kStride);
  _tile_stored(1, scores.of[0] + 16, kStride);
  _tile_stored(2, scores.of[16], kStride);
  _tile_stored(3, scores.of[16] + 16, kStride);
}

/// Weights of 32 queries for 32 keys, of which only the first `count` are where `Cut`.
template <bool Cut>
inline void weigh_block(const Sums& scores, int64_t count, Softmax& softmax, uint8_t* weights) {
  const Vec scale = set1(softmax.scale);
  const auto lanes = static_cast<uint32_t>((uint64_t{1} << count) - 1);
  const auto low = static_cast<__mmask16>(lanes);
  const auto high = static_cast<__mmask16>(lanes >> kWidth);
#pragma GCC unroll 4
  for (int64_t r = 0; r < kPanelRows; ++r) {
    const Vec by = set1(softmax.offset[r]);
    Vec first = rounded_exp2_of(_mm512_fmsub_ps(load(scores.of[r]), scale, by));
    Vec second = rounded_exp2_of(_mm512_fmsub_ps(load(scores.of[r] + kWidth), scale, by));
    if constexpr (Cut) {
      first = _mm512_maskz_mov_ps(low, first);
      second = _mm512_maskz_mov_ps(high, second);
    }
    float* total = softmax.total[r];
    store(total, add(load(total), add(first, second)));
    _mm512_store_si512(weights + r * 64, narrow(first, second));
  }
}

/// Adds `steps` blocks of values by their weights to `sums` [32, stride], 32 columns of it.
inline void add_values(const uint8_t* weights, const uint8_t* values, int64_t steps, bool begin,
                       float* sums, int64_t stride) {
  const int64_t bytes = stride * static_cast<int64_t>(sizeof(float));
  if (begin) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, bytes);
    _tile_loadd(1, sums + 16, bytes);
    _tile_loadd(2, sums + 16 * stride, bytes);
    _tile_loadd(3, sums + 16 * stride + 16, bytes);
  }
  for (int64_t step = 0; step < steps; ++step) {
    _tile_loadd(4, weights, 64);
    _tile_loadd(6, values, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, values + kTileBytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, weights + kTileBytes, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    weights += 2 * kTileBytes;
    values += 2 * kTileBytes;
  }
  _tile_stored(0, sums, bytes);
  _tile_stored(1, sums + 16, bytes);
  _tile_stored(2, sums + 16 * stride, bytes);
  _tile_stored(3, sums + 16 * stride + 16, bytes);
}

/// While one lives, numbers too small for a float's full precision are zero. Weights of keys that
/// hardly count may be so small, and each would take the core a hundred cycles.
class FlushToZero {
 public:
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlush | kDenormalsAreZero); }
  ~FlushToZero() { _mm_setcsr(before_); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  static constexpr unsigned kFlush = 0x8000;
  static constexpr unsigned kDenormalsAreZero = 0x0040;
  unsigned before_;
};

/// The greatest of scores [0, count), count from 1 to 32.
inline float greatest_of(const float* scores, int64_t count) {
  const auto lanes = static_cast<uint32_t>((uint64_t{1} << count) - 1);
  const Vec least = set1(-__builtin_inff());
  return greatest(max(
      _mm512_mask_mov_ps(least, static_cast<__mmask16>(lanes), load(scores)),
      _mm512_mask_mov_ps(least, static_cast<__mmask16>(lanes >> kWidth), load(scores + kWidth))));
}

/// One head's keys and values, and memory for 32 queries.
class QueryPanel {
 public:
  QueryPanel(const WindowAttentionArgs& args, int64_t head, const uint8_t* packed, uint8_t* scratch)
      : args_(args),
        keys_(packed),
        values_(packed + layout_of(TileWeight::kBFloat16, args.time, args.head).values),
        query_(args.query_key_value + head * args.head),
        weights_(scratch),
        queries_(weights_ + kChunk * 2 * kTileBytes),
        sums_(reinterpret_cast<float*>(queries_ + args.head / 32 * 2 * kTileBytes)) {
    softmax_.scale = args.scale * 1.44269504088896341F;
  }

  /// Takes queries [row, row + rows), at most 32.
  void attend(int64_t row, int64_t rows, uint16_t* out) {
    load_queries(row, rows);
    Sums scores;
    score(0, scores);
    for (int64_t r = 0; r < rows; ++r) {
      softmax_.offset[r] = softmax_.scale * greatest_of(scores.of[r], keys_in(0)) + kRoom;
    }
    pass();
    float inverse[kPanelRows];
    if (!divide(rows, inverse)) {
      find_greatest(rows);
      pass();
      divide(rows, inverse);
    }
    const int64_t stride = args_.heads * args_.head;
    for (int64_t r = 0; r < rows; ++r) {
      const Vec scale = set1(inverse[r]);
      for (int64_t d = 0; d < args_.head; d += kBlock) {
        const float* sums = sums_ + r * args_.head + d;
        _mm512_storeu_si512(out + r * stride + d,
                            narrow(mul(load(sums), scale), mul(load(sums + kWidth), scale)));
      }
    }
  }

  static int64_t scratch_bytes(int64_t head) {
    return kChunk * 2 * kTileBytes + head / 32 * 2 * kTileBytes +
           kPanelRows * head * static_cast<int64_t>(sizeof(float));
  }

 private:
  void load_queries(int64_t row, int64_t rows) {
    const int64_t stride = 3 * args_.heads * args_.head;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t d = 0; d < args_.head; d += 32) {
        _mm512_store_si512(queries_ + (d / 32 * 2 + r / 16) * kTileBytes + r % 16 * 64,
                           _mm512_loadu_si512(query_ + (row + r) * stride + d));
      }
    }
  }

  void score(int64_t block, Sums& scores) const {
    const int64_t steps = args_.head / 32;
    score_block(queries_, keys_ + block * steps * 2 * kTileBytes, steps, scores);
  }

  int64_t keys_in(int64_t block) const {
    const int64_t left = args_.time - block * kBlock;
    return left < kBlock ? left : kBlock;
  }

  /// Sums of the values by weights, and of the weights, over all keys.
  void pass() {
    for (auto& total : softmax_.total) store(total, set1(0));
    const int64_t blocks = blocks_of(args_.time);
    Sums scores;
    for (int64_t block = 0; block < blocks; ++block) {
      uint8_t* weights = weights_ + block % kChunk * 2 * kTileBytes;
      score(block, scores);
      if (keys_in(block) == kBlock) {
        weigh_block<false>(scores, kBlock, softmax_, weights);
      } else {
        weigh_block<true>(scores, keys_in(block), softmax_, weights);
      }
      if ((block + 1) % kChunk == 0 || block + 1 == blocks) {
        add_chunk(block / kChunk * kChunk, block);
      }
    }
  }

  /// The values of blocks [first, last].
  void add_chunk(int64_t first, int64_t last) {
    for (int64_t d = 0; d < args_.head; d += kBlock) {
      const int64_t at = d / kBlock * blocks_of(args_.time) + first;
      add_values(weights_, values_ + at * 2 * kTileBytes, last - first + 1, first == 0, sums_ + d,
                 args_.head);
    }
  }

  /// False where a sum may have overflown.
  bool divide(int64_t rows, float* inverse) const {
    bool fine = true;
    for (int64_t r = 0; r < rows; ++r) {
      const float total = sum(load(softmax_.total[r]));
      fine = fine && total < kGreatestSum;
      inverse[r] = 1 / total;
    }
    return fine;
  }

  /// Offsets by the greatest of all scores, for the rows that need them.
  void find_greatest(int64_t rows) {
    float top[kPanelRows];
    for (float& value : top) value = -__builtin_inff();
    Sums scores;
    for (int64_t block = 0; block < blocks_of(args_.time); ++block) {
      score(block, scores);
      for (int64_t r = 0; r < rows; ++r) {
        const float most = greatest_of(scores.of[r], keys_in(block));
        if (most > top[r]) top[r] = most;
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      if (sum(load(softmax_.total[r])) < kGreatestSum) continue;
      softmax_.offset[r] = softmax_.scale * top[r];
    }
  }

  const WindowAttentionArgs& args_;
  const uint8_t* keys_;
  const uint8_t* values_;
  const uint16_t* query_;
  uint8_t* weights_;
  uint8_t* queries_;
  float* sums_;  ///< [32, head]
  Softmax softmax_;
};

void attention_on_tiles(const WindowAttentionArgs& args, int64_t head, int64_t begin, int64_t end,
                        const uint8_t* packed, uint8_t* scratch) {
  const Tiles tiles(16);
  const FlushToZero flush;
  QueryPanel panel(args, head, packed, scratch);
  for (int64_t row = begin; row < end; row += kPanelRows) {
    const int64_t rows = end - row < kPanelRows ? end - row : kPanelRows;
    panel.attend(row, rows, args.out + (row * args.heads + head) * args.head);
  }
}

}  // namespace
