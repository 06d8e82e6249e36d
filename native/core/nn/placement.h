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
  /// Whether the weights of layers for few rows are kept in int8, with a scale for each column.
  bool int8 = false;

  bool uses_kernels() const { return cpu_kernels && device.is_cpu(); }
  /// Whether linear layers and attention compute on AMX's tiles.
  bool uses_tiles() const;
  /// The type of activations between the layers of a decoder.
  at::ScalarType activation() const { return uses_kernels() ? at::kFloat : dtype; }
};

/// `device` is "cpu", "cuda" or "cuda:N"; `dtype` is "auto", "float32", "bfloat16", "float16" or,
/// on a CPU, "int8", whose large products are in the fastest type. "auto" on a CPU is int8 where
/// there are AMX's tiles, else bfloat16 where that is fast, else float32. Throws kInvalidArgument
/// for other words, kDeviceUnavailable where the device is not there and kModelUnsupported where it
/// cannot compute in the type.
Placement make_placement(const std::string& device, const std::string& dtype);

/// Its `dtype`, or "int8".
std::string dtype_name(const Placement& placement);

}  // namespace voxpod
