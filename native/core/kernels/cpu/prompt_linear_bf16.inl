// The linear layer of linear.inl for the many rows of a prompt, by AVX512-BF16's dot products of
// pairs, at twice the rate. Its float16 weights become pairs of bfloat16 in the first-level cache,
// block by block.
#include "kernels/cpu/epilogue.inl"
#include "kernels/cpu/pairs_bf16.h"
#include "kernels/cpu/simd.h"

namespace {

/// weight[inner][kBlock] float16 to [inner / 2][kBlock] pairs of neighbouring inner dimensions.
inline void pair_block(const uint16_t* weight, int64_t inner, uint16_t* out) {
  using voxpod::cpu::kBlock;
  // Interleaves what cvtne2ps leaves as 16 even and 16 odd ones.
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (int64_t k = 0; k < inner; k += 2) {
    for (int v = 0; v < kBlockVectors; ++v) {
      const Vec even = load_half(weight + k * kBlock + v * kWidth);
      const Vec odd = load_half(weight + (k + 1) * kBlock + v * kWidth);
      const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
      _mm512_storeu_si512(out + k * kBlock + v * 2 * kWidth, _mm512_permutexvar_epi16(order, both));
    }
  }
}

template <int Rows>
void prompt_tile(const voxpod::cpu::LinearArgs& args, const uint16_t* x, const uint16_t* weight,
                 int64_t row, int64_t block) {
  using voxpod::cpu::kBlock;
  Vec acc[Rows][kBlockVectors];
  for (int v = 0; v < kBlockVectors; ++v) {
    const Vec bias = load(args.bias + block * kBlock + v * kWidth);
    for (int r = 0; r < Rows; ++r) acc[r][v] = bias;
  }
  const uint16_t* from = x + row * args.inner;
  for (int64_t k = 0; k < args.inner; k += 2) {
    const __m512bh w0 = pairs(weight + k * kBlock);
    const __m512bh w1 = pairs(weight + k * kBlock + 2 * kWidth);
    for (int r = 0; r < Rows; ++r) {
      const __m512bh value = pair_everywhere(from + r * args.inner + k);
      acc[r][0] = _mm512_dpbf16_ps(acc[r][0], value, w0);
      acc[r][1] = _mm512_dpbf16_ps(acc[r][1], value, w1);
    }
  }
  finish_tile<Rows>(args, acc, row, block);
}

void prompt_linear(const voxpod::cpu::LinearArgs& args, const uint16_t* x, uint16_t* scratch,
                   int64_t begin, int64_t end) {
  using voxpod::cpu::kBlock;
  for (int64_t block = begin; block < end; ++block) {
    pair_block(static_cast<const uint16_t*>(args.weight) + block * args.inner * kBlock, args.inner,
               scratch);
    int64_t row = 0;
    for (; row + kRowTile <= args.rows; row += kRowTile) {
      prompt_tile<kRowTile>(args, x, scratch, row, block);
    }
    for (; row < args.rows; ++row) prompt_tile<1>(args, x, scratch, row, block);
  }
}

}  // namespace
