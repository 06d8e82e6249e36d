// The packing of a linear layer's weights into tiles.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::kBlock;
using voxpod::cpu::kTileBytes;
using voxpod::cpu::tile_steps;
using voxpod::cpu::TileWeight;

/// 16 numbers of a row from `k`, zeros behind its end.
template <typename Stored>
inline Vec load_row(const typename Stored::Type* row, int64_t k, int64_t inner) {
  if (k + kWidth <= inner) return Stored::widen(row + k);
  typename Stored::Type rest[kWidth] = {};
  for (int64_t i = k; i < inner; ++i) rest[i - k] = row[i];
  return Stored::widen(rest);
}

/// A tile's columns, one a row of 16 numbers of 32 bits, before they are transposed.
struct alignas(64) Columns {
  int of[16][16];
};

template <typename Stored>
void pack_bfloat16(const void* source, int64_t stride, int64_t columns, int64_t inner,
                   int64_t begin, int64_t end, uint8_t* out) {
  const auto* rows = static_cast<const typename Stored::Type*>(source);
  const int64_t steps = tile_steps(TileWeight::kBFloat16, inner);
  Columns tile = {};
  for (int64_t block = begin; block < end; ++block) {
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t half = 0; half < 2; ++half) {
        const int64_t first = block * kBlock + half * 16;
        for (int64_t n = 0; n < 16; ++n) {
          __m512i pairs = _mm512_setzero_si512();
          if (first + n < columns) {
            const auto* row = rows + (first + n) * stride;
            pairs = narrow(load_row<Stored>(row, step * 32, inner),
                           load_row<Stored>(row, step * 32 + kWidth, inner));
          }
          _mm512_store_si512(tile.of[n], pairs);
        }
        transpose_block(
            tile.of[0], 16,
            reinterpret_cast<int*>(out + ((block * steps + step) * 2 + half) * kTileBytes));
      }
    }
  }
}

template <typename Stored>
inline float greatest_magnitude(const typename Stored::Type* row, int64_t inner) {
  Vec top = set1(0);
  for (int64_t k = 0; k < inner; k += kWidth) top = max(top, abs(load_row<Stored>(row, k, inner)));
  return greatest(top);
}

template <typename Stored>
void pack_int8(const void* source, int64_t stride, int64_t columns, int64_t inner, int64_t begin,
               int64_t end, uint8_t* out, float* scale) {
  const auto* rows = static_cast<const typename Stored::Type*>(source);
  const int64_t steps = tile_steps(TileWeight::kInt8, inner);
  Columns tile = {};
  for (int64_t block = begin; block < end; ++block) {
    float inverse[kBlock] = {};
    for (int64_t n = 0; n < kBlock && block * kBlock + n < columns; ++n) {
      const int64_t column = block * kBlock + n;
      const float top = greatest_magnitude<Stored>(rows + column * stride, inner);
      scale[column] = top / 127;
      inverse[n] = top > 0 ? 127 / top : 0;
    }
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t half = 0; half < 2; ++half) {
        for (int64_t n = 0; n < 16; ++n) {
          const int64_t column = block * kBlock + half * 16 + n;
          auto* to = reinterpret_cast<__m128i*>(tile.of[n]);
          for (int64_t i = 0; i < 4; ++i) {
            __m128i bytes = _mm_setzero_si128();
            const int64_t k = step * 64 + i * kWidth;
            if (column < columns && k < inner) {
              const Vec x = mul(load_row<Stored>(rows + column * stride, k, inner),
                                set1(inverse[half * 16 + n]));
              bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x));
            }
            _mm_store_si128(to + i, bytes);
          }
        }
        transpose_block(
            tile.of[0], 16,
            reinterpret_cast<int*>(out + ((block * steps + step) * 2 + half) * kTileBytes));
      }
    }
  }
}

template <typename Stored>
void pack_weight(TileWeight type, const void* source, int64_t columns, int64_t inner, int64_t begin,
                 int64_t end, void* out, float* scale) {
  auto* bytes = static_cast<uint8_t*>(out);
  if (type == TileWeight::kInt8) {
    pack_int8<Stored>(source, inner, columns, inner, begin, end, bytes, scale);
  } else {
    pack_bfloat16<Stored>(source, inner, columns, inner, begin, end, bytes);
  }
}

void unpack_row(TileWeight type, const void* weight, const float* scale, int64_t inner, int64_t row,
                float* out) {
  const bool int8 = type == TileWeight::kInt8;
  const int64_t numbers = int8 ? 64 : 32;
  const auto* tiles = static_cast<const uint8_t*>(weight) +
                      (row / kBlock * tile_steps(type, inner) * 2 + row % kBlock / 16) * kTileBytes;
  for (int64_t k = 0; k < inner; ++k) {
    const uint8_t* tile = tiles + k / numbers * 2 * kTileBytes;
    const int64_t within = k % numbers;
    if (int8) {
      const auto value = static_cast<int8_t>(tile[(within / 4 * 16 + row % 16) * 4 + within % 4]);
      out[k] = static_cast<float>(value) * scale[row];
    } else {
      const auto* pairs = reinterpret_cast<const uint16_t*>(tile);
      const uint32_t bits = uint32_t{pairs[(within / 2 * 16 + row % 16) * 2 + within % 2]} << 16;
      __builtin_memcpy(out + k, &bits, sizeof(bits));
    }
  }
}

}  // namespace
