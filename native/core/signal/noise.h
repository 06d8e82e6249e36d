#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <span>

namespace voxpod {

/// Numbers of the normal distribution, exactly those of torch's CPU generator: after
/// NoiseGenerator(seed) each draw() of n numbers is what the next torch.randn(n), in float32, gives
/// after torch.manual_seed(seed). For one thread at a time.
class NoiseGenerator {
 public:
  explicit NoiseGenerator(uint64_t seed);

  /// Fills `out` with the next numbers.
  void draw(std::span<float> out);

 private:
  at::Generator generator_;
};

}  // namespace voxpod
