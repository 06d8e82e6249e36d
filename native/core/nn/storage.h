#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cpu/kernels.h"

namespace voxpod {

/// How the kernels name a tensor's type: one of float32, float16, bfloat16 and int8.
inline cpu::Storage storage_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kHalf:
      return cpu::Storage::kFloat16;
    case at::kBFloat16:
      return cpu::Storage::kBFloat16;
    case at::kChar:
      return cpu::Storage::kInt8;
    default:
      return cpu::Storage::kFloat32;
  }
}

}  // namespace voxpod
