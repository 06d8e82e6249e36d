#pragma once

#include <ATen/core/Tensor.h>

#include <cmath>

#include "kernels/cpu/kernels.h"

namespace voxpod {

struct AttentionShape {
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t head_size = 0;  ///< with CPU kernels a multiple of cpu::kBlock

  int64_t width() const { return heads * head_size; }
  /// What scores are multiplied by.
  float scale() const { return 1 / std::sqrt(static_cast<float>(head_size)); }
  /// [rows, width] to [1, heads, rows, head].
  at::Tensor split(const at::Tensor& x) const {
    return x.reshape({x.size(0), heads, head_size}).transpose(0, 1).unsqueeze(0);
  }
};

/// The next multiple of the kernels' block.
inline int64_t round_to_block(int64_t n) {
  return (n + cpu::kBlock - 1) / cpu::kBlock * cpu::kBlock;
}

}  // namespace voxpod
