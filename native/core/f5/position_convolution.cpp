#include "f5/position_convolution.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/mish.h>

namespace voxpod::f5 {

PositionConvolution::PositionConvolution(Weights& weights, const Geometry& geometry)
    : placement_(weights.placement()),
      groups_(geometry.width / geometry.group),
      kernel_(geometry.kernel) {
  for (const char* name : {"0", "2"}) {
    const std::string at = std::string("input_embed.conv_pos_embed.conv1d.") + name;
    layers_.push_back({
        .weight = weights.tensor(at + ".weight", {geometry.width, geometry.group, geometry.kernel},
                                 placement_.dtype),
        .bias = weights.tensor(at + ".bias", {geometry.width}, placement_.dtype),
    });
  }
}

void PositionConvolution::add_to(at::Tensor& x) const {
  at::Tensor h = x.t().unsqueeze(0).to(placement_.dtype).contiguous();
  for (const Layer& layer : layers_) {
    h = at::mish(at::conv1d(h, layer.weight, layer.bias, 1, kernel_ / 2, 1, groups_));
  }
  x.add_(h.squeeze(0).t());
}

}  // namespace voxpod::f5
