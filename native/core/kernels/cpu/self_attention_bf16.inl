// Attention of all positions of a window over each other in bfloat16, with AVX512-BF16's dot
// products of pairs. One head's keys and values, packed in pairs, stay in the second-level cache
// while tiles of queries pass over them; a tile's scores are kept whole, so that softmax is exact.
#include "kernels/cpu/pairs_bf16.h"
#include "kernels/cpu/simd.h"

namespace {

constexpr int kTile = 8;       // queries at once: kTile * 2 accumulators of 32 registers
constexpr int64_t kKeys = 32;  // keys of a packed block: two vectors

/// keys[time, stride] to [time / kKeys][head / 2][kKeys] pairs of neighbouring dimensions.
inline void pack_keys(const uint16_t* keys, int64_t stride, int64_t time, int64_t head,
                      uint16_t* out) {
  for (int64_t t = 0; t < time; ++t) {
    uint16_t* block = out + t / kKeys * kKeys * head + t % kKeys * 2;
    for (int64_t d = 0; d < head; d += 2) {
      __builtin_memcpy(block + d * kKeys, keys + t * stride + d, 2 * sizeof(uint16_t));
    }
  }
}

/// values[time, stride] to [time / 2][head] pairs of neighbouring positions.
inline void pack_values(const uint16_t* values, int64_t stride, int64_t time, int64_t head,
                        uint16_t* out) {
  for (int64_t t = 0; t < time; t += 2) {
    const uint16_t* first = values + t * stride;
    for (int64_t d = 0; d < head; ++d) {
      out[t * head + 2 * d] = first[d];
      out[t * head + 2 * d + 1] = t + 1 < time ? first[stride + d] : uint16_t{0};
    }
  }
}

template <int Rows>
void window_tile(const voxpod::cpu::WindowAttentionArgs& args, const uint16_t* query,
                 const uint16_t* keys, const uint16_t* values, float* scores, uint16_t* weights,
                 uint16_t* out) {
  const int64_t stride = 3 * args.heads * args.head;
  const int64_t padded = (args.time + kKeys - 1) / kKeys * kKeys;
  for (int64_t t = 0; t < padded; t += kKeys) {
    const uint16_t* block = keys + t * args.head;
    __m512 acc[Rows][2];
    for (auto& row : acc) row[0] = row[1] = _mm512_setzero_ps();
    for (int64_t d = 0; d < args.head; d += 2) {
      const __m512bh k0 = pairs(block + d * kKeys);
      const __m512bh k1 = pairs(block + d * kKeys + kKeys);
      for (int r = 0; r < Rows; ++r) {
        const __m512bh q = pair_everywhere(query + r * stride + d);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], q, k0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], q, k1);
      }
    }
    for (int r = 0; r < Rows; ++r) {
      store(scores + r * padded + t, acc[r][0]);
      store(scores + r * padded + t + kWidth, acc[r][1]);
    }
  }

  float inverse[Rows];
  for (int r = 0; r < Rows; ++r) {
    float* row = scores + r * padded;
    for (int64_t t = args.time; t < padded; ++t) row[t] = -__builtin_inff();
    Vec top = load(row);
    for (int64_t t = kWidth; t < padded; t += kWidth) top = max(top, load(row + t));
    const Vec scale = set1(args.scale);
    const Vec offset = set1(-args.scale * greatest(top));
    Vec total = set1(0);
    for (int64_t t = 0; t < padded; t += kWidth) {
      const Vec p = exp(fma(load(row + t), scale, offset));
      total = add(total, p);
      const __m256bh narrow = _mm512_cvtneps_pbh(p);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + r * padded + t),
                          reinterpret_cast<__m256i>(narrow));
    }
    inverse[r] = 1 / sum(total);
  }

  for (int64_t d = 0; d < args.head; d += 2 * kWidth) {
    __m512 acc[Rows][2];
    for (auto& row : acc) row[0] = row[1] = _mm512_setzero_ps();
    for (int64_t t = 0; t < args.time; t += 2) {
      const uint16_t* pair = values + t * args.head + 2 * d;
      const __m512bh v0 = pairs(pair);
      const __m512bh v1 = pairs(pair + 2 * kWidth);
      for (int r = 0; r < Rows; ++r) {
        const __m512bh p = pair_everywhere(weights + r * padded + t);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], p, v0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], p, v1);
      }
    }
    for (int r = 0; r < Rows; ++r) {
      uint16_t* to = out + r * args.heads * args.head + d;
      for (int v = 0; v < 2; ++v) {
        const __m256bh narrow = _mm512_cvtneps_pbh(mul(acc[r][v], set1(inverse[r])));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + v * kWidth),
                            reinterpret_cast<__m256i>(narrow));
      }
    }
  }
}

void window_attention(const voxpod::cpu::WindowAttentionArgs& args, int64_t head, int64_t begin,
                      int64_t end) {
  const int64_t width = args.heads * args.head;
  const int64_t stride = 3 * width;
  const int64_t padded = (args.time + kKeys - 1) / kKeys * kKeys;
  uint16_t* keys = args.scratch;
  uint16_t* values = keys + padded * args.head;
  uint16_t* weights = values + padded * args.head;
  auto* scores = reinterpret_cast<float*>(weights + kTile * padded);
  const uint16_t* from = args.query_key_value + head * args.head;
  pack_keys(from + width, stride, args.time, args.head, keys);
  pack_values(from + 2 * width, stride, args.time, args.head, values);
  int64_t row = begin;
  const auto run = [&](auto tile, int64_t rows) {
    tile(args, from + row * stride, keys, values, scores, weights,
         args.out + row * width + head * args.head);
    row += rows;
  };
  while (row + kTile <= end) run(window_tile<kTile>, kTile);
  while (row < end) run(window_tile<1>, 1);
}

}  // namespace
