// Pairs of bfloat16, as AVX512-BF16's dot product takes them.
#pragma once

#include "kernels/cpu/simd.h"

namespace {

inline __m512bh pairs(const uint16_t* p) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
}

inline __m512bh pair_everywhere(const uint16_t* p) {
  int32_t both;
  __builtin_memcpy(&both, p, sizeof(both));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
}

}  // namespace
