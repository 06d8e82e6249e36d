#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace voxpod {

/// Where a model computes and in which type.
struct Placement {
  at::Device device = at::kCPU;
  /// Type of the large matrix products: float32, bfloat16 or (CUDA) float16.
  at::ScalarType dtype = at::kFloat;
  /// Whether layers for few rows use voxpod's CPU kernels; off, ATen's operators serve every
  /// device.
  bool cpu_kernels = true;

  bool uses_kernels() const { return cpu_kernels && device.is_cpu(); }
  /// The type of activations between the layers of a decoder.
  at::ScalarType activation() const { return uses_kernels() ? at::kFloat : dtype; }
};

/// `device` is "cpu", "cuda" or "cuda:N"; `dtype` is "auto", "float32", "bfloat16" or "float16".
/// Throws kInvalidArgument for other words, kDeviceUnavailable where the device is not there and
/// kModelUnsupported where it cannot compute in the type.
Placement make_placement(const std::string& device, const std::string& dtype);

std::string dtype_name(at::ScalarType dtype);

}  // namespace voxpod
