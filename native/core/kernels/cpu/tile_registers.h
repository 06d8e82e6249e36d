// AMX's tile registers while a Tiles lives: sums in 0 to 3, the left side in 4 and 5, the right
// side, which is always 16 rows, in 6 and 7. Fewer rows cost less.
#pragma once

#include <immintrin.h>

namespace {

class Tiles {
 public:
  /// `rows` of the left side and the sums, 1 to 16.
  explicit Tiles(int rows) {
    Config config = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {}};
    for (int i = 0; i < 6; ++i) config.rows[i] = static_cast<unsigned char>(rows);
    config.rows[6] = config.rows[7] = 16;
    // GCC 12's intrinsic does not say that it reads all 64 bytes.
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  struct alignas(64) Config {
    unsigned char palette;
    unsigned char start_row;
    unsigned char reserved[14];
    unsigned short bytes[16];
    unsigned char rows[16];
  };
};

/// 32 floats to bfloat16, in order.
inline __m512i narrow(__m512 first, __m512 second) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

/// The first and second 16 of 32 bfloat16 as floats.
inline __m512 widen_first(__m512i x) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(x)), 16));
}
inline __m512 widen_second(__m512i x) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(x, 1)), 16));
}

/// The transpose of a 16 x 16 block of 32-bit numbers whose rows are `stride` numbers apart.
inline void transpose_block(const int* from, long stride, int* to) {
  const __m512i lanes =
      _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                         _mm512_set1_epi32(static_cast<int>(stride)));
  for (int column = 0; column < 16; ++column) {
    _mm512_store_si512(to + 16 * column, _mm512_i32gather_epi32(lanes, from + column, 4));
  }
}

}  // namespace
