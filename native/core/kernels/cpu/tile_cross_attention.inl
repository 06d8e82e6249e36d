// Attention of a few queries, one token or the beams of one window, over a window's packed keys and
// values. It waits for memory: queries and weights keep twice the bits of keys and values (see
// tile_linear.inl) at no cost.
#include "kernels/cpu/tile_attention.inl"

namespace {

using voxpod::cpu::TileAttentionArgs;

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
    const float total = softmax(row, args.time, args.scale, [&](int64_t t, Vec first, Vec second) {
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
