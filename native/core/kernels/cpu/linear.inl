// A linear layer for few rows. A packed block of weights is read once for every kRowTile rows; the
// accumulators of a tile stay in registers for the whole inner loop.
#include "kernels/cpu/epilogue.inl"
#include "kernels/cpu/simd.h"

namespace {

template <typename Stored, int Rows>
void linear_tile(const voxpod::cpu::LinearArgs& args, int64_t row, int64_t block) {
  using voxpod::cpu::kBlock;
  const auto* weight =
      static_cast<const typename Stored::Type*>(args.weight) + block * args.inner * kBlock;
  const float* x = args.x + row * args.inner;
  Vec acc[Rows][kBlockVectors];
  for (int v = 0; v < kBlockVectors; ++v) {
    const Vec start = args.scale ? set1(0) : load(args.bias + block * kBlock + v * kWidth);
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  for (int64_t k = 0; k < args.inner; ++k) {
    // Weights come from memory, in order: a page ahead hides what the hardware's prefetcher loses
    // at page boundaries (a sixth of a step's time on EPYC 9004).
    __builtin_prefetch(reinterpret_cast<const char*>(weight + k * kBlock) + 4096);
    Vec w[kBlockVectors];
    for (int v = 0; v < kBlockVectors; ++v) w[v] = Stored::widen(weight + k * kBlock + v * kWidth);
    for (int r = 0; r < Rows; ++r) {
      const Vec value = set1(x[r * args.inner + k]);
      for (int v = 0; v < kBlockVectors; ++v) acc[r][v] = fma(value, w[v], acc[r][v]);
    }
  }
  for (int v = 0; args.scale && v < kBlockVectors; ++v) {
    const Vec scale = load(args.scale + block * kBlock + v * kWidth);
    const Vec bias = load(args.bias + block * kBlock + v * kWidth);
    for (int r = 0; r < Rows; ++r) acc[r][v] = fma(acc[r][v], scale, bias);
  }
  finish_tile<Rows>(args, acc, row, block);
}

template <typename Stored>
void linear_blocks(const voxpod::cpu::LinearArgs& args, int64_t begin, int64_t end) {
  using Tile = void (*)(const voxpod::cpu::LinearArgs&, int64_t, int64_t);
#if defined(__AVX512F__)
  static constexpr Tile kTiles[] = {nullptr,
                                    linear_tile<Stored, 1>,
                                    linear_tile<Stored, 2>,
                                    linear_tile<Stored, 3>,
                                    linear_tile<Stored, 4>,
                                    linear_tile<Stored, 5>,
                                    linear_tile<Stored, 6>,
                                    linear_tile<Stored, 7>,
                                    linear_tile<Stored, 8>};
#else
  static constexpr Tile kTiles[] = {nullptr, linear_tile<Stored, 1>, linear_tile<Stored, 2>};
#endif
  for (int64_t block = begin; block < end; ++block) {
    for (int64_t row = 0; row < args.rows; row += kRowTile) {
      const int64_t rows = args.rows - row < kRowTile ? args.rows - row : kRowTile;
      kTiles[rows](args, row, block);
    }
  }
}

void linear(const voxpod::cpu::LinearArgs& args, int64_t begin, int64_t end) {
  if (args.storage == voxpod::cpu::Storage::kFloat16) {
    linear_blocks<Float16>(args, begin, end);
  } else if (args.storage == voxpod::cpu::Storage::kInt8) {
    linear_blocks<Int8>(args, begin, end);
  } else {
    linear_blocks<Float32>(args, begin, end);
  }
}

}  // namespace
