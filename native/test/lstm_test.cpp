// The kernels of the speech detector, for every instruction set this machine has, against ATen in
// float64.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>

#include "check.h"
#include "kernels/cpu/dispatch.h"

namespace {

using namespace voxpod;
using namespace voxpod::cpu;

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> out = {&kAvx2};
  if (&kernels() == &kAvx512) out.push_back(&kAvx512);
  return out;
}

}  // namespace

TEST(lstm_test, "steps of an LSTM equal ATen's, one by one or together, saturated gates too") {
  auto generator = at::detail::createCPUGenerator(11);
  const auto random = [&](std::vector<int64_t> sizes) {
    return at::randn(sizes, generator, at::kFloat);
  };
  for (const Kernels* kernels : available()) {
    for (const int64_t size : {32, 128}) {
      for (const double scale : {0.1, 3.0, 60.0}) {
        const int64_t steps = 7;
        const at::Tensor gates = random({steps, 4, size}).mul(scale);
        const at::Tensor weight = random({4, size, size}).mul(0.2);
        const at::Tensor packed =
            weight.view({4, size / kBlock, kBlock, size}).permute({1, 3, 0, 2}).contiguous();
        const at::Tensor before = random({size}).mul(0.5);
        const at::Tensor start = random({size});
        const auto run = [&](const at::Tensor& hidden, at::Tensor& cell, int64_t first,
                             int64_t count, at::Tensor& out) {
          kernels->lstm({.gates = gates.const_data_ptr<float>() + first * 4 * size,
                         .weight = packed.const_data_ptr<float>(),
                         .hidden = hidden.const_data_ptr<float>(),
                         .cell = cell.data_ptr<float>(),
                         .out = out.data_ptr<float>(),
                         .steps = count,
                         .size = size});
        };
        at::Tensor out = at::empty({steps, size});
        at::Tensor cell = start.clone();
        run(before, cell, 0, steps, out);

        at::Tensor hidden = before.to(at::kDouble);
        at::Tensor state = start.to(at::kDouble);
        std::vector<at::Tensor> expected;
        for (int64_t i = 0; i < steps; ++i) {
          const at::Tensor sums =
              gates.select(0, i).to(at::kDouble) + at::matmul(weight.to(at::kDouble), hidden);
          state = sums.select(0, 2).sigmoid() * state +
                  sums.select(0, 0).sigmoid() * sums.select(0, 3).tanh();
          hidden = sums.select(0, 1).sigmoid() * state.tanh();
          expected.push_back(hidden);
        }
        EXPECT_LESS(test::relative_error(out, at::stack(expected)), 2e-5);
        EXPECT_LESS(test::relative_error(cell, state), 2e-5);

        at::Tensor alone = at::empty({steps, size});
        at::Tensor own = start.clone();
        at::Tensor last = before.clone();
        for (int64_t i = 0; i < steps; ++i) {
          at::Tensor row = alone.select(0, i);
          run(last, own, i, 1, row);
          last = row;
        }
        EXPECT(alone.equal(out) && own.equal(cell));
      }
    }
  }
}

TEST(lstm_test, "magnitudes of any number of bins") {
  auto generator = at::detail::createCPUGenerator(12);
  for (const Kernels* kernels : available()) {
    for (const int64_t size : {1, 8, 15, 129}) {
      const at::Tensor real = at::randn({size}, generator, at::kFloat);
      const at::Tensor imaginary = at::randn({size}, generator, at::kFloat);
      at::Tensor out = at::empty({size});
      kernels->magnitude(real.const_data_ptr<float>(), imaginary.const_data_ptr<float>(),
                         out.data_ptr<float>(), size);
      const at::Tensor expected =
          (real.to(at::kDouble).square() + imaginary.to(at::kDouble).square()).sqrt();
      EXPECT_LESS(test::relative_error(out, expected), 1e-6);
    }
  }
}
