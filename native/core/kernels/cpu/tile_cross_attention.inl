// Attention of a few queries, one token or the beams of one window, over a window's packed keys and
// values. It waits for memory: queries and weights keep twice the bits of keys and values (see
// tile_linear.inl) at no cost.
#pragma once

#include "kernels/cpu/tile_attention.inl"

namespace {

using voxpod::cpu::TileAttentionArgs;

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
inline float softmax_row(const float* scores, int64_t time, float by, const Take& take) {
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

/// Sums of a few rows and 32 columns, of the numbers' first halves and of their second.
struct alignas(64) HalfSums {
  int of[2][16][kBlock];
};

/// The product of `steps` steps of both halves of the left side, in tiles one behind the other, and
/// the right side.
template <bool Whole>
inline void multiply_halves(const uint8_t* left, const uint8_t* right, int64_t steps,
                            HalfSums& sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    ask_for(right);
    _tile_loadd(6, right, 64);
    _tile_loadd(4, left, 64);
    _tile_loadd(5, left + kTileBytes, 64);
    _tile_loadd(7, right + kTileBytes, 64);
    if constexpr (Whole) {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    } else {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    left += 2 * kTileBytes;
    right += 2 * kTileBytes;
  }
  constexpr int64_t kStride = sizeof(sums.of[0][0]);
  _tile_stored(0, sums.of[0][0], kStride);
  _tile_stored(1, sums.of[0][0] + 16, kStride);
  _tile_stored(2, sums.of[1][0], kStride);
  _tile_stored(3, sums.of[1][0] + 16, kStride);
}

/// 16 sums of a row.
template <bool Whole>
inline Vec sums_of(const HalfSums& sums, int64_t row, int64_t v) {
  const int* high = sums.of[0][row] + v * kWidth;
  const int* low = sums.of[1][row] + v * kWidth;
  if constexpr (Whole) {
    return fma(_mm512_cvtepi32_ps(_mm512_load_si512(high)), set1(128),
               _mm512_cvtepi32_ps(_mm512_load_si512(low)));
  } else {
    return add(_mm512_castsi512_ps(_mm512_load_si512(high)),
               _mm512_castsi512_ps(_mm512_load_si512(low)));
  }
}

/// Packs a row of `count` floats, a multiple of 32; returns what its sums are to be multiplied by.
template <bool Whole>
inline float pack_halves(const float* x, int64_t count, uint8_t* to) {
  if constexpr (Whole) {
    float scale = 0;
    pack_int8_row(x, count, to, &scale);
    return scale;
  } else {
    pack_wide_row(x, count, to);
    return 1;
  }
}

template <bool Whole>
void cross_attention_on_tiles(const TileAttentionArgs& args, uint8_t* scratch) {
  const Tiles tiles(static_cast<int>(args.rows));
  const HeadLayout at = layout_of(args.type, args.time, args.head);
  const auto* key_scale = reinterpret_cast<const float*>(args.packed + at.key_scale);
  const auto* value_scale = reinterpret_cast<const float*>(args.packed + at.value_scale);
  const int64_t blocks = blocks_of(args.time);
  const int64_t padded = blocks * kBlock;
  const int64_t key_steps = tile_steps(args.type, args.head);
  const int64_t value_steps = tile_steps(args.type, args.time);
  auto* scores = reinterpret_cast<float*>(scratch);
  uint8_t* left = scratch + 16 * padded * 4;

  float scale[16];
  for (int64_t r = 0; r < args.rows; ++r) {
    scale[r] = pack_halves<Whole>(args.query + r * args.query_stride, args.head, left + r * 64);
  }
  HalfSums sums;
  for (int64_t block = 0; block < blocks; ++block) {
    multiply_halves<Whole>(left, args.packed + block * key_steps * 2 * kTileBytes, key_steps, sums);
    for (int64_t r = 0; r < args.rows; ++r) {
      for (int64_t v = 0; v < 2; ++v) {
        const int64_t t = block * kBlock + v * kWidth;
        Vec score = sums_of<Whole>(sums, r, v);
        if constexpr (Whole) score = mul(score, mul(load(key_scale + t), set1(scale[r])));
        store(scores + r * padded + t, score);
      }
    }
  }
  for (int64_t r = 0; r < args.rows; ++r) {
    float* row = scores + r * padded;
    const float total =
        softmax_row(row, args.time, args.scale, [&](int64_t t, Vec first, Vec second) {
          if constexpr (Whole) {
            first = mul(first, load(value_scale + t));
            second = mul(second, load(value_scale + t + kWidth));
          }
          store(row + t, first);
          store(row + t + kWidth, second);
        });
    scale[r] = pack_halves<Whole>(row, padded, left + r * 64) / total;
  }
  for (int64_t d = 0; d < args.head; d += kBlock) {
    multiply_halves<Whole>(left,
                           args.packed + at.values + d / kBlock * value_steps * 2 * kTileBytes,
                           value_steps, sums);
    for (int64_t r = 0; r < args.rows; ++r) {
      for (int64_t v = 0; v < 2; ++v) {
        store(args.out + r * args.out_stride + d + v * kWidth,
              mul(sums_of<Whole>(sums, r, v), set1(scale[r])));
      }
    }
  }
}

}  // namespace
