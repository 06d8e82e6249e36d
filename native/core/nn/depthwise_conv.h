#pragma once

#include <ATen/core/Tensor.h>

#include "nn/placement.h"

namespace voxpod {

/// A convolution over time of each channel alone, with zeros behind both ends, in float32.
class DepthwiseConv {
 public:
  DepthwiseConv() = default;
  /// `weight` [channels, 1, size] of odd size, `bias` [channels].
  DepthwiseConv(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement);

  /// x [frames, channels], contiguous, to the same shape.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;  ///< [size, channels] with kernels, else as it was given
  at::Tensor bias_;
  bool kernels_ = false;
};

}  // namespace voxpod
