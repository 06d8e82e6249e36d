// The kernels of BigVGAN's activation against ATen's operators, which bigvgan_test holds against
// the reference.
#include "vocoder/snake.h"

#include <ATen/ops/zeros_like.h>

#include "check.h"
#include "kernels/cpu/dispatch.h"
#include "tiny_vocos.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;

std::vector<const cpu::Kernels*> available() {
  std::vector<const cpu::Kernels*> out = {&cpu::kAvx2};
  if (&cpu::kernels() == &cpu::kAvx512) out.push_back(&cpu::kAvx512);
  return out;
}

}  // namespace

TEST(snake_test, "every length and instruction set, any cut into blocks, large values") {
  NoiseGenerator generator(5);
  const at::Tensor filter = snake_filter();
  EXPECT_LESS(std::abs(filter.sum().item<float>() - 1), 1e-6);
  for (const int64_t channels : {16, 24, 40}) {
    const at::Tensor alpha = draw(generator, {channels}, 1).exp_();
    const at::Tensor beta = alpha.flip(0);
    const at::Tensor inverse = beta.reciprocal();
    const Snake plain(alpha, beta, {.cpu_kernels = false});
    const Snake fast(alpha, beta, {});
    for (const int64_t samples : {1, 2, 3, 5, 63, 64, 65, 130, 300}) {
      for (const double scale : {1.0, 100.0}) {
        const at::Tensor x = draw(generator, {samples, channels}, scale);
        const at::Tensor expected = plain.forward(x);
        EXPECT_LESS(relative_error(fast.forward(x), expected), 1e-5);
        at::Tensor out = at::zeros_like(x);
        const cpu::SnakeArgs args = {.x = x.const_data_ptr<float>(),
                                     .filter = filter.const_data_ptr<float>(),
                                     .alpha = alpha.const_data_ptr<float>(),
                                     .inverse_beta = inverse.const_data_ptr<float>(),
                                     .out = out.data_ptr<float>(),
                                     .samples = samples,
                                     .channels = channels};
        for (const cpu::Kernels* kernels : available()) {
          out.zero_();
          const int64_t cut = samples / 3;
          kernels->snake(args, 0, cut);
          kernels->snake(args, cut, samples);
          EXPECT_LESS(relative_error(out, expected), 1e-5);
        }
      }
    }
  }
}
