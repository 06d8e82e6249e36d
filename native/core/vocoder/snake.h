#pragma once

#include <ATen/core/Tensor.h>

#include "nn/placement.h"

namespace voxpod {

/// BigVGAN's activation without aliasing: twice the rate by a windowed sinc, x + sin(alpha x)^2 /
/// beta for each channel, and back (NVIDIA/BigVGAN, activations.py and
/// alias_free_activation/torch).
class Snake {
 public:
  Snake() = default;
  /// `alpha` and `beta` [channels], float32, as they are applied: not logarithms.
  Snake(const at::Tensor& alpha, const at::Tensor& beta, const Placement& placement);

  /// x [samples, channels], contiguous, to the same shape.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor alpha_;
  at::Tensor inverse_beta_;
  at::Tensor filter_;  ///< [12]
  bool kernels_ = false;
};

/// The filter of both changes of rate: a sinc of half the Nyquist frequency under a Kaiser window,
/// 12 taps whose sum is 1.
at::Tensor snake_filter();

}  // namespace voxpod
