// Magnitudes of a spectrum.
#include "kernels/cpu/simd.h"

namespace {

void magnitude(const float* real, const float* imaginary, float* out, int64_t size) {
  const int64_t whole = size / kWidth * kWidth;
  for (int64_t i = 0; i < whole; i += kWidth) {
    const Vec a = load(real + i);
    const Vec b = load(imaginary + i);
    store(out + i, sqrt(fma(a, a, mul(b, b))));
  }
  for (int64_t i = whole; i < size; ++i) {
    out[i] = __builtin_sqrtf(__builtin_fmaf(real[i], real[i], imaginary[i] * imaginary[i]));
  }
}

}  // namespace
