// What a linear layer does to a tile of sums before it stores them.
#pragma once

#include "kernels/cpu/simd.h"

namespace {

inline void finish(Vec value, float* out, voxpod::cpu::Epilogue epilogue) {
  if (epilogue == voxpod::cpu::Epilogue::kGelu) value = gelu(value);
  if (epilogue == voxpod::cpu::Epilogue::kAdd) value = add(value, load(out));
  store(out, value);
}

template <int Rows>
inline void finish_tile(const voxpod::cpu::LinearArgs& args, Vec (&acc)[Rows][kBlockVectors],
                        int64_t row, int64_t block) {
  using voxpod::cpu::kBlock;
  const int64_t left = args.columns - block * kBlock;
  for (int r = 0; r < Rows; ++r) {
    float* out = args.out + (row + r) * args.columns + block * kBlock;
    if (left >= kBlock) {
      for (int v = 0; v < kBlockVectors; ++v) finish(acc[r][v], out + v * kWidth, args.epilogue);
      continue;
    }
    float last[kBlock] = {};  // the last block may be narrower than its padding
    for (int64_t i = 0; i < left; ++i) last[i] = out[i];
    for (int v = 0; v < kBlockVectors; ++v) finish(acc[r][v], last + v * kWidth, args.epilogue);
    for (int64_t i = 0; i < left; ++i) out[i] = last[i];
  }
}

}  // namespace
