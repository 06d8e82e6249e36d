// A linear layer on tiles. The rows of x are packed into panels of 32, as the tiles' left side; a
// block of 32 columns then runs over a panel with its sums in the tile registers. Wide input is the
// sum of two numbers of the weights' type, and both meet every weight that was read: a decoder's
// step waits for memory, not for the products.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tile_weight.inl"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::Epilogue;
using voxpod::cpu::kPanelRows;
using voxpod::cpu::Storage;
using voxpod::cpu::TileLinearArgs;

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
    const auto* wide = static_cast<const float*>(args.x) + row * args.inner;
    if (args.type == TileWeight::kInt8) {
      pack_int8_row(wide, args.inner, to, scales + i);
    } else if (args.wide) {
      pack_wide_row(wide, args.inner, to);
    } else if (args.input == Storage::kFloat32) {
      pack_rounded_row(args, wide, to);
    } else {
      pack_narrow_row(args, static_cast<const uint16_t*>(args.x) + row * args.inner, to);
    }
  }
}

inline void ask_for(const uint8_t* weight) {
  for (int64_t line = 0; line < 2 * kTileBytes; line += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(weight) + kAhead + line, _MM_HINT_T0);
  }
}

/// What is asked for while the products of a block keep the tiles busy: the lines that its outputs
/// go to, which otherwise would be fetched only by their stores, and a part of the next weights.
class Lookahead {
 public:
  Lookahead(const TileLinearArgs& args, int64_t first_row, int64_t rows, int64_t block,
            const uint8_t* weight, int64_t weight_lines, int64_t steps)
      : rows_each_((kPanelRows + steps - 1) / steps),
        lines_each_((weight_lines + steps - 1) / steps),
        rows_(rows),
        lines_(weight_lines),
        weight_(reinterpret_cast<const char*>(weight)) {
    const int64_t size = args.output == Storage::kBFloat16 ? 2 : 4;
    out_ = static_cast<char*>(args.out) + (first_row * args.columns + block * kBlock) * size;
    stride_ = args.columns * size;
    wide_ = size == 4;
  }

  void step() {
    for (int64_t i = 0; i < rows_each_ && rows_ > 0; ++i, --rows_, out_ += stride_) {
      __builtin_prefetch(out_, 1, 3);
      if (wide_) __builtin_prefetch(out_ + 64, 1, 3);
    }
    for (int64_t i = 0; i < lines_each_ && lines_ > 0; ++i, --lines_, weight_ += 64) {
      _mm_prefetch(weight_, _MM_HINT_T1);
    }
  }

 private:
  int64_t rows_each_;
  int64_t lines_each_;
  int64_t rows_;
  int64_t lines_;
  const char* weight_;
  char* out_;
  int64_t stride_;
  bool wide_;
};

/// Sums of 16 * RowTiles rows and 32 columns.
struct alignas(64) Sums {
  float of[kPanelRows][kBlock];
};
struct alignas(64) WholeSums {
  int high[16][kBlock];
  int low[16][kBlock];
};

/// GELU where bfloat16 follows: x * (1/2 + t * p(t^2)) with t = x within [-limit, limit], where the
/// polynomial of least greatest error ends in 1/2.
struct RoundedGelu {
  float limit;
  float p[9];  ///< from the highest power down
};
/// By erf, absolute error below 7e-5 up to |x| = 8.
constexpr RoundedGelu kByErf = {
    4.4F,
    {4.43475846e-11F, -4.49375914e-9F, 2.00335393e-7F, -5.22472328e-6F, 8.98004873e-5F,
     -1.09024381e-3F, 9.76735447e-3F, -6.62873909e-2F, 3.98883134e-1F}};
/// By tanh, absolute error below 4e-5.
constexpr RoundedGelu kByTanh = {
    4.2F,
    {6.06624889e-11F, -5.77439696e-9F, 2.42719636e-7F, -5.99427631e-6F, 9.81097037e-5F,
     -1.14352873e-3F, 9.95125622e-3F, -6.65230379e-2F, 3.98823589e-1F}};

inline Vec rounded_gelu(Vec x, const RoundedGelu& by) {
  const Vec t = max(_mm512_min_ps(x, set1(by.limit)), set1(-by.limit));
  const Vec u = mul(t, t);
  Vec p = set1(by.p[0]);
  for (int i = 1; i < 9; ++i) p = fma(p, u, set1(by.p[i]));
  return mul(x, fma(p, t, set1(0.5F)));
}

inline void finish_row(const TileLinearArgs& args, const float* sums, int64_t row, int64_t block) {
  const int64_t column = block * kBlock;
  const int64_t left = args.columns - column < kBlock ? args.columns - column : kBlock;
  Vec value[2];
  for (int v = 0; v < 2; ++v) {
    value[v] = add(load(sums + v * kWidth), load(args.bias + column + v * kWidth));
    if (args.epilogue == Epilogue::kGelu) {
      value[v] =
          args.output == Storage::kBFloat16 ? rounded_gelu(value[v], kByErf) : gelu(value[v]);
    } else if (args.epilogue == Epilogue::kGeluTanh) {
      value[v] = rounded_gelu(value[v], kByTanh);
    }
  }
  const int64_t at = row * args.columns + column;
  const auto mask = static_cast<__mmask32>((uint64_t{1} << left) - 1);
  if (args.output == Storage::kBFloat16) {
    _mm512_mask_storeu_epi16(static_cast<uint16_t*>(args.out) + at, mask,
                             narrow(value[0], value[1]));
    return;
  }
  float* out = static_cast<float*>(args.out) + at;
  for (int v = 0; v < 2; ++v) {
    const auto lanes = static_cast<__mmask16>(mask >> (v * kWidth));
    if (args.epilogue == Epilogue::kAdd) {
      value[v] = add(value[v], _mm512_maskz_loadu_ps(lanes, out + v * kWidth));
    }
    _mm512_mask_storeu_ps(out + v * kWidth, lanes, value[v]);
  }
}

/// Sums that are still to become outputs. That is done row by row between the products of the next
/// ones, which are made elsewhere in the core.
class Unfinished {
 public:
  explicit Unfinished(const TileLinearArgs& args) : args_(args) {}
  ~Unfinished() { finish(kPanelRows); }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

  /// Where the next sums are to be written; those before it stay until they are finished.
  Sums& next() { return sums_[1 - current_]; }
  /// Takes what was written there, once all before it is finished.
  void take(int64_t first_row, int64_t rows, int64_t block) {
    finish(kPanelRows);
    current_ = 1 - current_;
    first_row_ = first_row;
    rows_ = rows;
    block_ = block;
    done_ = 0;
  }
  void finish(int64_t rows) {
    const int64_t end = done_ + rows < rows_ ? done_ + rows : rows_;
    for (; done_ < end; ++done_) {
      finish_row(args_, sums_[current_].of[done_], first_row_ + done_, block_);
    }
  }

 private:
  const TileLinearArgs& args_;
  Sums sums_[2];
  int current_ = 0;
  int64_t first_row_ = 0;
  int64_t rows_ = 0;
  int64_t block_ = 0;
  int64_t done_ = 0;
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
