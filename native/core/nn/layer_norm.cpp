#include "nn/layer_norm.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"

namespace voxpod {

LayerNorm::LayerNorm(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement)
    : weight_(weight.to(placement.device, at::kFloat, false, true)),
      bias_(bias.to(placement.device, at::kFloat, false, true)),
      kernels_(placement.uses_kernels()) {}

at::Tensor LayerNorm::forward(const at::Tensor& x, at::ScalarType out) const {
  const at::Tensor wide = x.to(at::kFloat);
  if (!kernels_) {
    return at::layer_norm(wide, weight_.sizes(), weight_, bias_, 1e-5, false).to(out);
  }
  at::Tensor normal = at::empty_like(wide);
  const int64_t size = weight_.size(0);
  const float* from = wide.const_data_ptr<float>();
  float* to = normal.data_ptr<float>();
  const auto& kernels = cpu::kernels();
  // Rows of a decoder's step are too few to be worth a second thread.
  share_range(wide.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      kernels.layer_norm(from + row * size, weight_.const_data_ptr<float>(),
                         bias_.const_data_ptr<float>(), to + row * size, size);
    }
  });
  return normal.to(out);
}

}  // namespace voxpod
