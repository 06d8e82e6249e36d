// What a linear layer on tiles does beside its products: it asks for memory ahead, and makes
// outputs of the sums of the block before.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::Epilogue;
using voxpod::cpu::kBlock;
using voxpod::cpu::kPanelRows;
using voxpod::cpu::Storage;
using voxpod::cpu::TileLinearArgs;

/// Sums of 16 * RowTiles rows and 32 columns.
struct alignas(64) Sums {
  float of[kPanelRows][kBlock];
};

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

}  // namespace
