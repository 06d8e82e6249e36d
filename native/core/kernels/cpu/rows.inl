// Reductions over one row.
#include "kernels/cpu/simd.h"

namespace {

void layer_norm(const float* x, const float* gamma, const float* beta, float* out, int64_t size) {
  const int64_t whole = size / kWidth * kWidth;
  Vec total = set1(0);
  for (int64_t i = 0; i < whole; i += kWidth) total = add(total, load(x + i));
  float mean = sum(total);
  for (int64_t i = whole; i < size; ++i) mean += x[i];
  mean /= static_cast<float>(size);
  total = set1(0);
  for (int64_t i = 0; i < whole; i += kWidth) {
    const Vec difference = sub(load(x + i), set1(mean));
    total = fma(difference, difference, total);
  }
  float variance = sum(total);
  for (int64_t i = whole; i < size; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / __builtin_sqrtf(variance / static_cast<float>(size) + 1e-5F);
  for (int64_t i = 0; i < whole; i += kWidth) {
    const Vec normal = mul(sub(load(x + i), set1(mean)), set1(scale));
    store(out + i, fma(normal, load(gamma + i), load(beta + i)));
  }
  for (int64_t i = whole; i < size; ++i) out[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
}

float row_max(const float* x, int64_t size) {
  const int64_t whole = size / kWidth * kWidth;
  Vec top = set1(-__builtin_inff());
  for (int64_t i = 0; i < whole; i += kWidth) top = max(top, load(x + i));
  float best = greatest(top);
  for (int64_t i = whole; i < size; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

int64_t max_index(const float* x, int64_t size) {
  const float best = row_max(x, size);
  if (!(best > -__builtin_inff())) return -1;
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    if (const unsigned lanes = equal_lanes(load(x + i), set1(best)))
      return i + __builtin_ctz(lanes);
  }
  while (x[i] != best) ++i;
  return i;
}

float log_sum_exp(const float* x, int64_t size) {
  const float top = row_max(x, size);
  if (!(top > -__builtin_inff())) return -__builtin_inff();
  const int64_t whole = size / kWidth * kWidth;
  Vec total = set1(0);
  for (int64_t i = 0; i < whole; i += kWidth) {
    total = add(total, exp(sub(load(x + i), set1(top))));
  }
  float rest = sum(total);
  for (int64_t i = whole; i < size; ++i) rest += __builtin_expf(x[i] - top);
  return top + __builtin_logf(rest);
}

}  // namespace
