#include "nn/depthwise_conv.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "engine/work_shares.h"

namespace voxpod {

DepthwiseConv::DepthwiseConv(const at::Tensor& weight, const at::Tensor& bias,
                             const Placement& placement)
    : weight_(weight.to(placement.device, at::kFloat, false, true)),
      bias_(bias.to(placement.device, at::kFloat, false, true)),
      kernels_(placement.uses_kernels()) {
  if (kernels_) weight_ = weight_.squeeze(1).t().contiguous();
}

at::Tensor DepthwiseConv::forward(const at::Tensor& x) const {
  const int64_t frames = x.size(0);
  const int64_t channels = x.size(1);
  if (!kernels_) {
    const int64_t half = weight_.size(2) / 2;
    return at::conv1d(x.t().unsqueeze(0), weight_, bias_, 1, half, 1, channels)
        .squeeze(0)
        .t()
        .contiguous();
  }
  at::Tensor out = at::empty_like(x);
  const int64_t size = weight_.size(0);
  const float* from = x.const_data_ptr<float>();
  const float* weight = weight_.const_data_ptr<float>();
  const float* bias = bias_.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  share_range(frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t frame = begin; frame < end; ++frame) {
      float* sum = to + frame * channels;
      std::copy_n(bias, channels, sum);
      for (int64_t tap = 0; tap < size; ++tap) {
        const int64_t at = frame + tap - size / 2;
        if (at < 0 || at >= frames) continue;
        const float* row = from + at * channels;
        const float* factor = weight + tap * channels;
        for (int64_t c = 0; c < channels; ++c) sum[c] += row[c] * factor[c];
      }
    }
  });
  return out;
}

}  // namespace voxpod
