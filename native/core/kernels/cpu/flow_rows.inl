// What lies between the large products of a modulated transformer, row by row: gated sums, norms,
// rotary positions.
#pragma once

#include "kernels/cpu/simd.h"

namespace {

using voxpod::cpu::FlowRowArgs;
using voxpod::cpu::RotateArgs;
using voxpod::cpu::Storage;

/// kWidth floats to bfloat16, to the nearest, halves to the even.
#if defined(__AVX512F__)
inline void store_bfloat16(uint16_t* p, Vec v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16)));
}
inline Vec swap_pairs(Vec v) { return _mm512_permute_ps(v, 0xB1); }
#else
inline void store_bfloat16(uint16_t* p, Vec v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i high = _mm256_srli_epi32(sum, 16);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
}
inline Vec swap_pairs(Vec v) { return _mm256_permute_ps(v, 0xB1); }
#endif

template <bool Narrow>
inline Vec read(const void* p, int64_t i) {
  return Narrow ? load_bfloat16(static_cast<const uint16_t*>(p) + i)
                : load(static_cast<const float*>(p) + i);
}

template <bool Narrow>
inline void write(void* p, int64_t i, Vec v) {
  if (Narrow) {
    store_bfloat16(static_cast<uint16_t*>(p) + i, v);
  } else {
    store(static_cast<float*>(p) + i, v);
  }
}

/// `size` is a multiple of kWidth, as is that of every model's width.
template <bool Narrow>
inline void row_of_flow(const FlowRowArgs& args) {
  const int64_t size = args.size;
  float* x = args.x;
  Vec total[2] = {set1(0), set1(0)};
  int parity = 0;
  for (int64_t i = 0; i < size; i += kWidth, parity ^= 1) {
    Vec value = load(x + i);
    if (args.delta) {
      const Vec delta = read<Narrow>(args.delta, i);
      value = args.gate ? fma(load(args.gate + i), delta, value) : add(value, delta);
      store(x + i, value);
    }
    total[parity] = add(total[parity], value);
  }
  if (!args.out) return;
  const auto count = static_cast<float>(size);
  const bool centred = args.shift != nullptr;
  const float mean = centred ? sum(add(total[0], total[1])) / count : 0;
  total[0] = total[1] = set1(0);
  for (int64_t i = 0; i < size; i += kWidth, parity ^= 1) {
    const Vec difference = sub(load(x + i), set1(mean));
    total[parity] = fma(difference, difference, total[parity]);
  }
  const float squares = sum(add(total[0], total[1]));
  float by = 0;
  if (centred) {
    by = 1 / __builtin_sqrtf(squares / count + args.epsilon);
  } else {
    const float length = __builtin_sqrtf(squares);
    by = __builtin_sqrtf(count) / (length > args.epsilon ? length : args.epsilon);
  }
  const Vec one = set1(1);
  for (int64_t i = 0; i < size; i += kWidth) {
    const Vec normal = mul(sub(load(x + i), set1(mean)), set1(by));
    const Vec scale = load(args.scale + i);
    write<Narrow>(
        args.out, i,
        centred ? fma(normal, add(scale, one), load(args.shift + i)) : mul(normal, scale));
  }
}

void flow_row(const FlowRowArgs& args) {
  if (args.storage == Storage::kBFloat16) {
    row_of_flow<true>(args);
  } else {
    row_of_flow<false>(args);
  }
}

template <bool Narrow>
inline void rotate_heads(const RotateArgs& args) {
  for (int64_t h = 0; h < args.heads; ++h) {
    const int64_t at = h * args.head;
    float by = 1;
    if (args.norm) {
      Vec squares = set1(0);
      for (int64_t i = 0; i < args.head; i += kWidth) {
        const Vec value = read<Narrow>(args.x, at + i);
        squares = fma(value, value, squares);
      }
      by = 1 / __builtin_sqrtf(sum(squares) / static_cast<float>(args.head) + 1e-6F);
    }
    for (int64_t i = 0; i < args.head; i += kWidth) {
      Vec value = read<Narrow>(args.x, at + i);
      if (args.norm) value = mul(mul(value, set1(by)), load(args.norm + i));
      if (h < args.rotated) {
        value = fma(value, load(args.cosines + i), mul(swap_pairs(value), load(args.sines + i)));
      }
      write<Narrow>(args.x, at + i, value);
    }
  }
}

void rotate(const RotateArgs& args) {
  if (args.storage == Storage::kBFloat16) {
    rotate_heads<true>(args);
  } else {
    rotate_heads<false>(args);
  }
}

}  // namespace
