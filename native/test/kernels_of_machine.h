#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>

#include <vector>

#include "kernels/cpu/dispatch.h"

namespace voxpod::test {

/// The kernels of every instruction set that this machine has.
inline std::vector<const cpu::Kernels*> available() {
  std::vector<const cpu::Kernels*> out = {&cpu::kAvx2};
  if (&cpu::kernels() == &cpu::kAvx512) out.push_back(&cpu::kAvx512);
  return out;
}

/// Normal numbers, the same ones in every run.
inline at::Tensor random(std::vector<int64_t> sizes) {
  static auto generator = at::detail::createCPUGenerator(3);
  return at::randn(sizes, generator, at::kFloat);
}

}  // namespace voxpod::test
