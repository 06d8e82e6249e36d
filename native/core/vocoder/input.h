#pragma once

#include <ATen/core/Tensor.h>

namespace voxpod {

/// Throws kInvalidArgument unless `mel` is [frames, kVocoderMels] with a frame at least, of finite
/// numbers.
void check_mel(const at::Tensor& mel);

}  // namespace voxpod
