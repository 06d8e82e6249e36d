// A linear layer on tiles. The rows of x are packed into panels of 32, as the tiles' left side; a
// block of 32 columns then runs over a panel with its sums in the tile registers. Wide input is the
// sum of two numbers of the weights' type, and both meet every weight that was read: a decoder's
// step waits for memory, not for the products.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_output.inl"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tile_weight.inl"
#include "kernels/cpu/tiles.h"

namespace {

/// How far ahead of the products weights are asked for, in bytes.
constexpr int64_t kAhead = 8192;

/// Bytes of 16 packed rows: for each step a tile and, where wide, its remainder.
inline int64_t half_panel(const TileLinearArgs& args) {
  return tile_steps(args.type, args.inner) * (args.wide ? 2 : 1) * kTileBytes;
}

inline int64_t scales_at(const TileLinearArgs& args) { return 2 * half_panel(args); }

/// Eight-bit halves of `count` numbers x = (128 * high + low) * scale, |128 * high + low| <= 127 *
/// 128, in two tiles for each 64, zeros behind the last.
inline void pack_int8_row(const float* x, int64_t count, uint8_t* to, float* scale) {
  Vec top = set1(0);
  for (int64_t k = 0; k < count; k += kWidth) top = max(top, abs(load_row<Float32>(x, k, count)));
  const float most = greatest(top);
  *scale = most / (127 * 128);
  const Vec inverse = set1(most > 0 ? 127 * 128 / most : 0);
  for (int64_t k = 0; k < tile_steps(TileWeight::kInt8, count) * 64; k += kWidth) {
    __m512i whole = _mm512_setzero_si512();
    if (k < count) whole = _mm512_cvtps_epi32(mul(load_row<Float32>(x, k, count), inverse));
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(64)), 7);
    const __m512i low = _mm512_sub_epi32(whole, _mm512_slli_epi32(high, 7));
    uint8_t* at = to + k / 64 * 2 * kTileBytes + k % 64;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm512_cvtsepi32_epi8(high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at + kTileBytes), _mm512_cvtsepi32_epi8(low));
  }
}

/// `count` numbers as the sum of two bfloat16, in two tiles for each 32.
inline void pack_wide_row(const float* x, int64_t count, uint8_t* to) {
  for (int64_t k = 0; k < count; k += 32, to += 2 * kTileBytes) {
    const Vec first = load_row<Float32>(x, k, count);
    const Vec second = k + kWidth < count ? load_row<Float32>(x, k + kWidth, count) : set1(0);
    const __m512i high = narrow(first, second);
    _mm512_store_si512(to, high);
    _mm512_store_si512(to + kTileBytes,
                       narrow(sub(first, widen_first(high)), sub(second, widen_second(high))));
  }
}

inline void pack_rounded_row(const TileLinearArgs& args, const float* x, uint8_t* to) {
  for (int64_t k = 0; k < args.inner; k += 32, to += kTileBytes) {
    const Vec second =
        k + kWidth < args.inner ? load_row<Float32>(x, k + kWidth, args.inner) : set1(0);
    _mm512_store_si512(to, narrow(load_row<Float32>(x, k, args.inner), second));
  }
}

inline void pack_narrow_row(const TileLinearArgs& args, const uint16_t* x, uint8_t* to) {
  int64_t k = 0;
  for (; k + 32 <= args.inner; k += 32, to += kTileBytes) {
    _mm512_store_si512(to, _mm512_loadu_si512(x + k));
  }
  if (k < args.inner) {
    const auto rest = static_cast<__mmask32>((uint64_t{1} << (args.inner - k)) - 1);
    _mm512_store_si512(to, _mm512_maskz_loadu_epi16(rest, x + k));
  }
}

/// Rows behind the last keep what was there: nothing of them is stored.
void pack_rows(const TileLinearArgs& args, int64_t panel, uint8_t* packed) {
  auto* scales = reinterpret_cast<float*>(packed + scales_at(args));
  for (int64_t i = 0; i < kPanelRows; ++i) {
    const int64_t row = panel * kPanelRows + i;
    if (row >= args.rows) break;
    uint8_t* to = packed + i / 16 * half_panel(args) + i % 16 * 64;
    const auto* wide = static_cast<const float*>(args.x) + row * args.stride;
    if (args.type == TileWeight::kInt8) {
      pack_int8_row(wide, args.inner, to, scales + i);
    } else if (args.wide) {
      pack_wide_row(wide, args.inner, to);
    } else if (args.input == Storage::kFloat32) {
      pack_rounded_row(args, wide, to);
    } else {
      pack_narrow_row(args, static_cast<const uint16_t*>(args.x) + row * args.stride, to);
    }
  }
}

inline void ask_for(const uint8_t* weight) {
  for (int64_t line = 0; line < 2 * kTileBytes; line += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(weight) + kAhead + line, _MM_HINT_T0);
  }
}

/// Sums of the eight-bit halves of 16 rows.
struct alignas(64) WholeSums {
  int high[16][kBlock];
  int low[16][kBlock];
};

template <int RowTiles, bool Wide, bool Ahead>
inline void bfloat16_block(const uint8_t* x, const uint8_t* weight, int64_t steps,
                           Lookahead lookahead, Unfinished& unfinished) {
  constexpr int64_t kStep = (Wide ? 2 : 1) * kTileBytes;
  const uint8_t* second = x + steps * kStep;  // the next 16 rows
  const int64_t rows_each = (kPanelRows + steps - 1) / steps;
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (RowTiles == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step) {
    if constexpr (Ahead) ask_for(weight);
    _tile_loadd(6, weight, 64);
    _tile_loadd(4, x, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, weight + kTileBytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (RowTiles == 2) {
      _tile_loadd(5, second, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    if constexpr (Wide) {
      _tile_loadd(4, x + kTileBytes, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (RowTiles == 2) {
        _tile_loadd(5, second + kTileBytes, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
    lookahead.step();
    unfinished.finish(rows_each);
    x += kStep;
    second += kStep;
    weight += 2 * kTileBytes;
  }
  Sums& sums = unfinished.next();
  constexpr int64_t kStride = sizeof(sums.of[0]);
  _tile_stored(0, sums.of[0], kStride);
  _tile_stored(1, sums.of[0] + 16, kStride);
  if constexpr (RowTiles == 2) {
    _tile_stored(2, sums.of[16], kStride);
    _tile_stored(3, sums.of[16] + 16, kStride);
  }
}

template <bool Ahead>
inline void int8_block(const uint8_t* x, const uint8_t* weight, int64_t steps, WholeSums& sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    if constexpr (Ahead) ask_for(weight);
    _tile_loadd(6, weight, 64);
    _tile_loadd(4, x, 64);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, weight + kTileBytes, 64);
    _tile_dpbssd(1, 4, 7);
    _tile_loadd(5, x + kTileBytes, 64);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
    x += 2 * kTileBytes;
    weight += 2 * kTileBytes;
  }
  constexpr int64_t kStride = sizeof(sums.high[0]);
  _tile_stored(0, sums.high[0], kStride);
  _tile_stored(1, sums.high[0] + 16, kStride);
  _tile_stored(2, sums.low[0], kStride);
  _tile_stored(3, sums.low[0] + 16, kStride);
}

/// Sums of int8 products to floats.
inline void scale_sums(const TileLinearArgs& args, const WholeSums& whole, const float* row_scale,
                       int64_t rows, int64_t block, float (*sums)[kBlock]) {
  for (int64_t v = 0; v < 2; ++v) {
    const Vec columns = load(args.scale + block * kBlock + v * kWidth);
    for (int64_t r = 0; r < rows; ++r) {
      const Vec high = _mm512_cvtepi32_ps(_mm512_load_si512(whole.high[r] + v * kWidth));
      const Vec low = _mm512_cvtepi32_ps(_mm512_load_si512(whole.low[r] + v * kWidth));
      store(sums[r] + v * kWidth, mul(fma(high, set1(128), low), mul(columns, set1(row_scale[r]))));
    }
  }
}

/// `next` and `lines`: weights that this panel asks for, for the block behind.
template <bool Ahead>
inline void panel_block(const TileLinearArgs& args, const uint8_t* packed, int64_t first_row,
                        int64_t block, const uint8_t* next, int64_t lines, Unfinished& unfinished) {
  const int64_t steps = tile_steps(args.type, args.inner);
  const auto* weight = static_cast<const uint8_t*>(args.weight) + block * steps * 2 * kTileBytes;
  const int64_t rows = args.rows - first_row < kPanelRows ? args.rows - first_row : kPanelRows;
  const Lookahead lookahead(args, first_row, rows, block, next, lines, steps);
  if (args.type == TileWeight::kInt8) {
    const auto* scales = reinterpret_cast<const float*>(packed + scales_at(args));
    WholeSums whole;
    for (int64_t r = 0; r < rows; r += 16) {
      int8_block<Ahead>(packed + r / 16 * half_panel(args), weight, steps, whole);
      scale_sums(args, whole, scales + r, rows - r < 16 ? rows - r : 16, block,
                 unfinished.next().of + r);
    }
  } else if (args.wide) {
    if (rows > 16) {
      bfloat16_block<2, true, Ahead>(packed, weight, steps, lookahead, unfinished);
    } else {
      bfloat16_block<1, true, Ahead>(packed, weight, steps, lookahead, unfinished);
    }
  } else if (rows > 16) {
    bfloat16_block<2, false, Ahead>(packed, weight, steps, lookahead, unfinished);
  } else {
    bfloat16_block<1, false, Ahead>(packed, weight, steps, lookahead, unfinished);
  }
  unfinished.take(first_row, rows, block);
}

void linear_on_tiles(const TileLinearArgs& args, int64_t first, int64_t last, const uint8_t* packed,
                     int64_t begin, int64_t end) {
  const Tiles tiles(static_cast<int>(args.rows < 16 ? args.rows : 16));
  const int64_t bytes = voxpod::cpu::panel_bytes(args);
  const int64_t block_bytes = tile_steps(args.type, args.inner) * 2 * kTileBytes;
  const auto* weight = static_cast<const uint8_t*>(args.weight);
  // Each panel asks for its part of the next block.
  const int64_t part = (block_bytes / 64 + last - first - 1) / (last - first);
  Unfinished unfinished(args);
  for (int64_t block = begin; block < end; ++block) {
    for (int64_t panel = first; panel < last; ++panel) {
      const uint8_t* rows = packed + (panel - first) * bytes;
      if (args.streamed && panel == first) {
        panel_block<true>(args, rows, panel * kPanelRows, block, nullptr, 0, unfinished);
        continue;
      }
      const int64_t lines = args.streamed || block + 1 == end ? 0 : part;
      panel_block<false>(args, rows, panel * kPanelRows, block,
                         weight + (block + 1) * block_bytes + (panel - first) * part * 64, lines,
                         unfinished);
    }
  }
}

}  // namespace
