// One head's keys and values as the tiles' right side. Keys are the weights of a layer from the
// head to the positions, values those of one from the positions to the head. In int8 each position
// has a scale for its key and one for its value.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tile_weight.inl"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::tile_weight_bytes;

inline int64_t blocks_of(int64_t time) { return (time + kBlock - 1) / kBlock; }

/// Where the parts of a packed head lie, in bytes.
struct HeadLayout {
  int64_t values;
  int64_t key_scale;
  int64_t value_scale;
  int64_t bytes;
};

inline HeadLayout layout_of(TileWeight type, int64_t time, int64_t head) {
  HeadLayout at = {};
  at.values = tile_weight_bytes(type, time, head);
  at.key_scale = at.values + tile_weight_bytes(type, head, time);
  const int64_t scales = type == TileWeight::kInt8 ? blocks_of(time) * kBlock * 4 : 0;
  at.value_scale = at.key_scale + scales;
  at.bytes = at.value_scale + scales;
  return at;
}

/// Values [time, stride]: [head / 32][time / 32][2] tiles of pairs of positions.
void pack_bfloat16_values(const uint16_t* values, int64_t stride, int64_t time, int64_t head,
                          uint8_t* out) {
  const int64_t steps = blocks_of(time);
  const auto row_of = [&](int64_t t, int64_t d) {
    return t < time ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                          reinterpret_cast<const __m256i*>(values + t * stride + d)))
                    : _mm512_setzero_si512();
  };
  for (int64_t t = 0; t < steps * kBlock; t += 2) {
    for (int64_t d = 0; d < head; d += 16) {
      uint8_t* tile = out + ((d / kBlock * steps + t / kBlock) * 2 + d % kBlock / 16) * kTileBytes;
      _mm512_store_si512(tile + t % kBlock / 2 * 64,
                         _mm512_or_si512(row_of(t, d), _mm512_slli_epi32(row_of(t + 1, d), 16)));
    }
  }
}

/// Values [time, stride]: [head / 32][time / 64][2] tiles of four positions each.
void pack_int8_values(const uint16_t* values, int64_t stride, int64_t time, int64_t head,
                      uint8_t* out, float* scale) {
  const int64_t steps = tile_steps(TileWeight::kInt8, time);
  const auto whole = [&](const uint16_t* from, Vec by) {
    return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(mul(load_bfloat16(from), by)));
  };
  for (int64_t t = 0; t < steps * 64; t += 4) {
    Vec by[4] = {set1(0), set1(0), set1(0), set1(0)};
    for (int64_t j = 0; j < 4 && t + j < time; ++j) {
      const float top = greatest_magnitude<BFloat16>(values + (t + j) * stride, head);
      scale[t + j] = top / 127;
      by[j] = set1(top > 0 ? 127 / top : 0);
    }
    for (int64_t d = 0; d < head; d += 16) {
      __m128i rows[4];
      for (int64_t j = 0; j < 4; ++j) {
        rows[j] = t + j < time ? whole(values + (t + j) * stride + d, by[j]) : _mm_setzero_si128();
      }
      // Four bytes of one dimension side by side.
      const __m512i wide =
          _mm512_or_si512(_mm512_or_si512(_mm512_cvtepu8_epi32(rows[0]),
                                          _mm512_slli_epi32(_mm512_cvtepu8_epi32(rows[1]), 8)),
                          _mm512_or_si512(_mm512_slli_epi32(_mm512_cvtepu8_epi32(rows[2]), 16),
                                          _mm512_slli_epi32(_mm512_cvtepu8_epi32(rows[3]), 24)));
      uint8_t* tile = out + ((d / kBlock * steps + t / 64) * 2 + d % kBlock / 16) * kTileBytes;
      _mm512_store_si512(tile + t % 64 / 4 * 64, wide);
    }
  }
}

void pack_head(TileWeight type, const uint16_t* keys, const uint16_t* values, int64_t stride,
               int64_t time, int64_t head, uint8_t* packed) {
  const HeadLayout at = layout_of(type, time, head);
  if (type == TileWeight::kBFloat16) {
    pack_bfloat16<BFloat16>(keys, stride, time, head, 0, blocks_of(time), packed);
    pack_bfloat16_values(values, stride, time, head, packed + at.values);
    return;
  }
  auto* key_scale = reinterpret_cast<float*>(packed + at.key_scale);
  auto* value_scale = reinterpret_cast<float*>(packed + at.value_scale);
  for (int64_t t = time; t < blocks_of(time) * kBlock; ++t) key_scale[t] = value_scale[t] = 0;
  pack_int8<BFloat16>(keys, stride, time, head, 0, blocks_of(time), packed, key_scale);
  pack_int8_values(values, stride, time, head, packed + at.values, value_scale);
}

}  // namespace
