#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "f5/geometry.h"

namespace voxpod::test {

/// The tensors of an F5-TTS or E2-TTS with random weights, the same every time, under the names of
/// a checkpoint. `geometry` needs all of its sizes.
std::map<std::string, at::Tensor> f5_weights(const f5::Geometry& geometry);

/// Two layers (four in the UNetT) of 256 numbers.
f5::Geometry tiny_f5(f5::BackboneKind backbone);
/// F5-TTS v1 Base.
f5::Geometry base_f5();

}  // namespace voxpod::test
