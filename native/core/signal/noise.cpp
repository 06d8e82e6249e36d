#include "signal/noise.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

namespace voxpod {

NoiseGenerator::NoiseGenerator(uint64_t seed) : generator_(at::detail::createCPUGenerator(seed)) {}

void NoiseGenerator::draw(std::span<float> out) {
  const c10::InferenceMode inference;
  // From 16 numbers on ATen draws them in another order, and a half of a pair may be left for the
  // next draw: both are the generator's own affair as long as one draw is one call.
  at::from_blob(out.data(), {static_cast<int64_t>(out.size())}, at::kFloat)
      .normal_(0, 1, generator_);
}

}  // namespace voxpod
