// The vector of the instruction set this translation unit is compiled for: 16 floats with AVX-512,
// 8 with AVX2. No include guard needed beyond pragma; static functions only, so that no copy made
// for one instruction set can serve another.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/kernels.h"

namespace {

#if defined(__AVX512F__)
using Vec = __m512;
constexpr int kWidth = 16;
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec set1(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm512_sqrt_ps(a); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec abs(Vec a) { return _mm512_abs_ps(a); }
inline Vec copy_sign(Vec magnitude, Vec sign) {
  const Vec bit = _mm512_set1_ps(-0.0F);
  return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
}
inline Vec round(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// a * 2^n for whole n; underflows to 0.
inline Vec scale_by_power(Vec a, Vec n) { return _mm512_scalef_ps(a, n); }
inline float sum(Vec a) { return _mm512_reduce_add_ps(a); }
inline float greatest(Vec a) { return _mm512_reduce_max_ps(a); }
/// A bit for each lane in which a equals b.
inline unsigned equal_lanes(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
inline Vec load_half(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec load_int8(const int8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Vec load_bfloat16(const uint16_t* p) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
#else
using Vec = __m256;
constexpr int kWidth = 8;
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec set1(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm256_sqrt_ps(a); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
inline Vec copy_sign(Vec magnitude, Vec sign) {
  const Vec bit = _mm256_set1_ps(-0.0F);
  return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}
inline Vec round(Vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec scale_by_power(Vec a, Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  const __m256i live = _mm256_cmpgt_epi32(exponent, _mm256_setzero_si256());
  const __m256i power = _mm256_and_si256(_mm256_slli_epi32(exponent, 23), live);
  return _mm256_mul_ps(a, _mm256_castsi256_ps(power));
}
inline float sum(Vec a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
inline float greatest(Vec a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
inline unsigned equal_lanes(Vec a, Vec b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)));
}
inline Vec load_half(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec load_int8(const int8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline Vec load_bfloat16(const uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
#endif

// Rows that a kernel computes at once: kRowTile * kBlockVectors accumulators stay in registers, of
// which AVX-512 has 32 and AVX2 16.
#if defined(__AVX512F__)
constexpr int kRowTile = 8;
#else
constexpr int kRowTile = 2;
#endif
constexpr int kBlockVectors = static_cast<int>(voxpod::cpu::kBlock) / kWidth;
static_assert(kRowTile <= voxpod::cpu::kMaxTile);

/// A stored number type: what memory holds and how a vector of it becomes float32.
struct Float32 {
  using Type = float;
  static inline Vec widen(const float* p) { return load(p); }
};
struct Float16 {
  using Type = uint16_t;
  static inline Vec widen(const uint16_t* p) { return load_half(p); }
};
struct BFloat16 {
  using Type = uint16_t;
  static inline Vec widen(const uint16_t* p) { return load_bfloat16(p); }
};
struct Int8 {
  using Type = int8_t;
  static inline Vec widen(const int8_t* p) { return load_int8(p); }
};

/// exp for x <= 0 or so, relative error below 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2], the
/// coefficients of Cephes' expf (netlib, cephes/single/expf.c).
inline Vec exp(Vec x) {
  x = max(x, set1(-104.0F));
  const Vec n = round(mul(x, set1(1.44269504088896341F)));
  Vec r = fma(n, set1(-0.693359375F), x);
  r = fma(n, set1(2.12194440e-4F), r);
  Vec p = set1(1.9875691500e-4F);
  p = fma(p, r, set1(1.3981999507e-3F));
  p = fma(p, r, set1(8.3334519073e-3F));
  p = fma(p, r, set1(4.1665795894e-2F));
  p = fma(p, r, set1(1.6666665459e-1F));
  p = fma(p, r, set1(5.0000001201e-1F));
  p = fma(mul(p, r), r, add(r, set1(1.0F)));
  return scale_by_power(p, n);
}

/// x * 0.5 * (1 + erf(x / sqrt 2)), with erf by Abramowitz and Stegun 7.1.26: absolute error of
/// erf below 1.5e-7.
inline Vec gelu(Vec x) {
  const Vec z = mul(x, set1(0.70710678118654752F));
  const Vec a = abs(z);
  const Vec t = div(set1(1.0F), fma(a, set1(0.3275911F), set1(1.0F)));
  Vec p = set1(1.061405429F);
  p = fma(p, t, set1(-1.453152027F));
  p = fma(p, t, set1(1.421413741F));
  p = fma(p, t, set1(-0.284496736F));
  p = fma(p, t, set1(0.254829592F));
  const Vec tail = mul(mul(p, t), exp(mul(set1(-1.0F), mul(a, a))));
  const Vec erf = copy_sign(sub(set1(1.0F), tail), z);
  const Vec half = mul(x, set1(0.5F));
  return fma(half, erf, half);
}

}  // namespace
