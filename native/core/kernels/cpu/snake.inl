// BigVGAN's activation: two interpolated samples for each one, x + sin(alpha x)^2 / beta, a filter
// over twelve of them. A vector of channels at a time, in blocks of samples whose interpolated ones
// stay in the first-level cache.
#include "kernels/cpu/simd.h"

namespace {

/// sin(x)^2: x less the nearest multiple of pi, in three parts so that the first products are exact
/// (Cephes, netlib, cephes/single/sinf.c), then Taylor's series: absolute error below 1e-7.
inline Vec sine_squared(Vec x) {
  const Vec n = round(mul(x, set1(0.318309886183790672F)));
  Vec r = fma(n, set1(-3.140625F), x);
  r = fma(n, set1(-9.67502593994140625e-4F), r);
  r = fma(n, set1(-1.509957990978376432e-7F), r);
  const Vec square = mul(r, r);
  Vec p = set1(-2.50521083854e-8F);
  p = fma(p, square, set1(2.75573192240e-6F));
  p = fma(p, square, set1(-1.98412698413e-4F));
  p = fma(p, square, set1(8.33333333333e-3F));
  p = fma(p, square, set1(-1.66666666667e-1F));
  const Vec sine = fma(mul(p, square), r, r);
  return mul(sine, sine);
}

/// Output rows [begin, end), at most kSnakeBlock of them, of channels [at, at + kWidth).
/// Interpolated sample 2m sees x[m-3] to x[m+2] and sample 2m+1 x[m-2] to x[m+3]; output t sees the
/// interpolated samples 2t-5 to 2t+6. Behind the ends the first and last of either are repeated.
void snake_column(const voxpod::cpu::SnakeArgs& args, int64_t begin, int64_t end, int64_t at) {
  using voxpod::cpu::kSnakeBlock;
  using voxpod::cpu::kSnakeTaps;
  constexpr int64_t kBefore = kSnakeTaps / 2 - 1;
  // From sample 2 * begin - 6: pairs (2m, 2m + 1) for m from begin - 3 to end + 2.
  float fast[(2 * kSnakeBlock + kSnakeTaps) * kWidth];
  const int64_t last = args.samples - 1;
  const float* x = args.x + at;
  const Vec alpha = load(args.alpha + at);
  const Vec inverse_beta = load(args.inverse_beta + at);
  Vec taps[kSnakeTaps];
  for (int64_t i = 0; i < kSnakeTaps; ++i) taps[i] = set1(2 * args.filter[i]);
  const int64_t first = begin - kSnakeTaps / 4;
  for (int64_t m = first; m < end + kSnakeTaps / 4; ++m) {
    if (m < 0 || m > last) continue;
    Vec even = set1(0);
    Vec odd = set1(0);
    for (int64_t i = 0; i < kSnakeTaps / 2 + 1; ++i) {
      int64_t row = m - kSnakeTaps / 4 + i;
      row = row < 0 ? 0 : row > last ? last : row;
      const Vec value = load(x + row * args.channels);
      if (i < kSnakeTaps / 2) even = fma(value, taps[kSnakeTaps - 1 - 2 * i], even);
      if (i > 0) odd = fma(value, taps[kSnakeTaps - 2 * i], odd);
    }
    float* to = fast + 2 * (m - first) * kWidth;
    store(to, fma(sine_squared(mul(even, alpha)), inverse_beta, even));
    store(to + kWidth, fma(sine_squared(mul(odd, alpha)), inverse_beta, odd));
  }
  for (int64_t m = first; m < 0; ++m) {
    const Vec edge = load(fast + 2 * (0 - first) * kWidth);
    store(fast + 2 * (m - first) * kWidth, edge);
    store(fast + (2 * (m - first) + 1) * kWidth, edge);
  }
  for (int64_t m = last + 1; m < end + kSnakeTaps / 4; ++m) {
    const Vec edge = load(fast + (2 * (last - first) + 1) * kWidth);
    store(fast + 2 * (m - first) * kWidth, edge);
    store(fast + (2 * (m - first) + 1) * kWidth, edge);
  }
  for (int64_t i = 0; i < kSnakeTaps; ++i) taps[i] = set1(args.filter[i]);
  for (int64_t t = begin; t < end; ++t) {
    const float* from = fast + (2 * (t - first) - kBefore) * kWidth;
    Vec sum[2] = {set1(0), set1(0)};
    for (int64_t i = 0; i < kSnakeTaps; ++i) {
      sum[i % 2] = fma(load(from + i * kWidth), taps[i], sum[i % 2]);
    }
    store(args.out + t * args.channels + at, add(sum[0], sum[1]));
  }
}

void snake(const voxpod::cpu::SnakeArgs& args, int64_t begin, int64_t end) {
  using voxpod::cpu::kSnakeBlock;
  for (int64_t row = begin; row < end; row += kSnakeBlock) {
    const int64_t rows_end = end - row < kSnakeBlock ? end : row + kSnakeBlock;
    for (int64_t at = 0; at < args.channels; at += kWidth) {
      // The last column may lie over the one before it.
      const int64_t from = args.channels - at < kWidth ? args.channels - kWidth : at;
      snake_column(args, row, rows_end, from);
    }
  }
}

}  // namespace
