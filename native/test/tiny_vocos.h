#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "signal/noise.h"

namespace voxpod::test {

at::Tensor draw(NoiseGenerator& generator, at::IntArrayRef shape, double scale);

/// A Vocos of random weights by the names of its published file, the same every time.
std::map<std::string, at::Tensor> random_vocos(int64_t width, int64_t inner, int64_t layers);

}  // namespace voxpod::test
