#pragma once

#include <ATen/core/Tensor.h>

#include "nn/placement.h"

namespace voxpod {

/// Layer normalisation over the last dimension, eps 1e-5, computed in float32.
class LayerNorm {
 public:
  LayerNorm() = default;
  /// `weight` and `bias` [size].
  LayerNorm(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement);

  /// x [rows, size] of any type; the result has type `out`.
  at::Tensor forward(const at::Tensor& x, at::ScalarType out) const;

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  bool kernels_ = false;
};

}  // namespace voxpod
