// Attention of a window's positions over each other on tiles, bfloat16 with sums in float32. One
// head's keys and values are packed as the tiles' right side; 32 queries at a time have all their
// scores before the softmax, which therefore is exact.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_head.inl"
#include "kernels/cpu/tile_linear.inl"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::WindowAttentionArgs;

/// 2^x for x <= 0, relative error below 4e-6: far less than the rounding to bfloat16 that follows.
/// A polynomial through 2^x at the five Chebyshev nodes of [0, 1].
inline Vec exp2_of(Vec x) {
  const Vec r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Vec p = set1(0.0136703095F);
  p = fma(p, r, set1(0.0517449978F));
  p = fma(p, r, set1(0.241604357F));
  p = fma(p, r, set1(0.692972922F));
  p = fma(p, r, set1(1.00000349F));
  return _mm512_scalef_ps(p, x);
}

/// scores [32, padded] of the queries against all keys.
inline void score_queries(const WindowAttentionArgs& args, const uint8_t* queries,
                          const uint8_t* keys, float* scores) {
  const int64_t steps = args.head / 32;
  const int64_t padded = blocks_of(args.time) * kBlock;
  for (int64_t block = 0; block < blocks_of(args.time); ++block) {
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
    float* to = scores + block * kBlock;
    const int64_t stride = padded * static_cast<int64_t>(sizeof(float));
    _tile_stored(0, to, stride);
    _tile_stored(1, to + 16, stride);
    _tile_stored(2, to + 16 * padded, stride);
    _tile_stored(3, to + 16 * padded + 16, stride);
  }
}

/// The greatest of scores [0, time).
inline float greatest_score(const float* scores, int64_t time) {
  const int64_t whole = time / kBlock * kBlock;
  Vec top[2] = {load(scores), load(scores + kWidth)};
  for (int64_t t = kBlock; t < whole; t += kBlock) {
    top[0] = max(top[0], load(scores + t));
    top[1] = max(top[1], load(scores + t + kWidth));
  }
  float best = whole > 0 ? greatest(max(top[0], top[1])) : scores[0];
  for (int64_t t = whole; t < time; ++t) best = scores[t] > best ? scores[t] : best;
  return best;
}

/// Calls `take` with every 32 of exp(by * (score - greatest)), 0 behind `time`; returns their sum.
template <typename Take>
inline float softmax(const float* scores, int64_t time, float by, const Take& take) {
  const float factor = by * 1.44269504088896341F;
  const Vec scale = set1(factor);
  const Vec offset = set1(-factor * greatest_score(scores, time));
  Vec total[2] = {set1(0), set1(0)};
  for (int64_t t = 0; t < time; t += kBlock) {
    Vec weight[2];
    for (int64_t v = 0; v < 2; ++v) {
      weight[v] = exp2_of(fma(load(scores + t + v * kWidth), scale, offset));
      if (const int64_t left = time - t - v * kWidth; left < kWidth) {
        const auto lanes = static_cast<__mmask16>(left > 0 ? (1U << left) - 1 : 0);
        weight[v] = _mm512_maskz_mov_ps(lanes, weight[v]);
      }
      total[v] = add(total[v], weight[v]);
    }
    take(t, weight[0], weight[1]);
  }
  return sum(add(total[0], total[1]));
}

/// Sums of the values by weights, divided by the weights' sums: rows of `out`, `stride` apart.
inline void weigh_values(const WindowAttentionArgs& args, const uint8_t* weights,
                         const uint8_t* values, const float* inverse, int64_t rows, uint16_t* out) {
  const int64_t stride = args.heads * args.head;
  for (int64_t d = 0; d < args.head; d += kBlock) {
    Sums sums;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t step = 0; step < blocks_of(args.time); ++step) {
      _tile_loadd(4, weights + step * 2 * kTileBytes, 64);
      _tile_loadd(6, values, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, values + kTileBytes, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, weights + (step * 2 + 1) * kTileBytes, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      values += 2 * kTileBytes;
    }
    constexpr int64_t kStride = sizeof(sums.of[0]);
    _tile_stored(0, sums.of[0], kStride);
    _tile_stored(1, sums.of[0] + 16, kStride);
    _tile_stored(2, sums.of[16], kStride);
    _tile_stored(3, sums.of[16] + 16, kStride);
    for (int64_t r = 0; r < rows; ++r) {
      const Vec scale = set1(inverse[r]);
      _mm512_storeu_si512(out + r * stride + d, narrow(mul(load(sums.of[r]), scale),
                                                       mul(load(sums.of[r] + kWidth), scale)));
    }
  }
}

void attention_on_tiles(const WindowAttentionArgs& args, int64_t head, int64_t begin, int64_t end,
                        const uint8_t* packed, uint8_t* scratch) {
  const Tiles tiles(16);
  const int64_t width = args.heads * args.head;
  const int64_t padded = blocks_of(args.time) * kBlock;
  const uint8_t* values = packed + layout_of(TileWeight::kBFloat16, args.time, args.head).values;
  auto* scores = reinterpret_cast<float*>(scratch);
  uint8_t* weights = scratch + kPanelRows * padded * 4;
  uint8_t* queries = weights + kPanelRows * padded * 2;
  const uint16_t* from = args.query_key_value + head * args.head;
  for (int64_t row = begin; row < end; row += kPanelRows) {
    const int64_t rows = end - row < kPanelRows ? end - row : kPanelRows;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t d = 0; d < args.head; d += 32) {
        _mm512_store_si512(queries + (d / 32 * 2 + r / 16) * kTileBytes + r % 16 * 64,
                           _mm512_loadu_si512(from + (row + r) * 3 * width + d));
      }
    }
    score_queries(args, queries, packed, scores);
    float inverse[kPanelRows];
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t* to = weights + r / 16 * kTileBytes + r % 16 * 64;
      inverse[r] =
          1 / softmax(scores + r * padded, args.time, args.scale,
                      [to](int64_t t, Vec first, Vec second) {
                        _mm512_store_si512(to + t / kBlock * 2 * kTileBytes, narrow(first, second));
                      });
    }
    weigh_values(args, weights, values, inverse, rows, args.out + row * width + head * args.head);
  }
}

}  // namespace
