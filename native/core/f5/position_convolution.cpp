#include "f5/position_convolution.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mish.h>

#include <cstring>

#include "engine/work_shares.h"
#include "kernels/cpu/tiles.h"
#include "nn/scratch.h"

namespace voxpod::f5 {
namespace {

/// [width, group, kernel] float32 as the tiles of each group's linear layer over [kernel, group].
at::Tensor pack(const at::Tensor& weight) {
  constexpr auto kType = cpu::TileWeight::kBFloat16;
  const int64_t group = weight.size(1);
  const int64_t inner = weight.size(2) * group;
  const int64_t groups = weight.size(0) / group;
  const int64_t bytes = cpu::tile_weight_bytes(kType, group, inner);
  const at::Tensor rows = weight.transpose(1, 2).contiguous();
  at::Tensor out = at::empty({groups, bytes}, at::kByte);
  for (int64_t g = 0; g < groups; ++g) {
    cpu::pack_tile_weight(kType, rows.const_data_ptr<float>() + g * group * inner,
                          cpu::Storage::kFloat32, group, inner, 0, group / cpu::kBlock,
                          out.data_ptr<uint8_t>() + g * bytes, nullptr);
  }
  return out;
}

}  // namespace

PositionConvolution::PositionConvolution(Weights& weights, const Geometry& geometry)
    : placement_(weights.placement()),
      tiles_(placement_.uses_tiles() && geometry.group % cpu::kBlock == 0),
      group_(geometry.group),
      groups_(geometry.width / geometry.group),
      kernel_(geometry.kernel) {
  const at::ScalarType dtype = tiles_ ? at::kFloat : placement_.dtype;
  for (const char* name : {"0", "2"}) {
    const std::string at = std::string("input_embed.conv_pos_embed.conv1d.") + name;
    const at::Tensor weight =
        weights.tensor(at + ".weight", {geometry.width, geometry.group, geometry.kernel}, dtype);
    layers_.push_back({
        .weight = tiles_ ? pack(weight) : weight,
        .bias = weights.tensor(at + ".bias", {geometry.width}, dtype),
    });
  }
}

void PositionConvolution::add_to(at::Tensor& x) const {
  if (tiles_) {
    add_on_tiles(x);
    return;
  }
  at::Tensor h = x.t().unsqueeze(0).to(placement_.dtype).contiguous();
  for (const Layer& layer : layers_) {
    h = at::mish(at::conv1d(h, layer.weight, layer.bias, 1, kernel_ / 2, 1, groups_));
  }
  x.add_(h.squeeze(0).t());
}

/// A group's channels are read and written by itself alone, so groups share nothing.
void PositionConvolution::add_on_tiles(at::Tensor& x) const {
  const int64_t rows = x.size(0);
  const int64_t width = x.size(1);
  const int64_t padding = kernel_ / 2 * group_;
  const int64_t numbers = (cpu::panels_of(rows) * cpu::kPanelRows + kernel_ - 1) * group_;
  share_range(groups_, 1, [&](int64_t begin, int64_t end) {
    auto* first =
        reinterpret_cast<uint16_t*>(scratch(static_cast<size_t>(2 * numbers) * sizeof(uint16_t)));
    uint16_t* second = first + numbers;
    for (uint16_t* buffer : {first, second}) {
      std::memset(buffer, 0, static_cast<size_t>(padding) * sizeof(uint16_t));
      std::memset(buffer + padding + rows * group_, 0,
                  static_cast<size_t>(numbers - padding - rows * group_) * sizeof(uint16_t));
    }
    for (int64_t g = begin; g < end; ++g) {
      float* own = x.data_ptr<float>() + g * group_;
      cpu::narrow_tiles(own, width, rows, group_, first + padding);
      for (size_t i = 0; i < 2; ++i) {
        cpu::convolution_tiles({
            .x = i == 0 ? first : second,
            .weight = layers_[i].weight.const_data_ptr<uint8_t>() + g * layers_[i].weight.size(1),
            .bias = layers_[i].bias.const_data_ptr<float>() + g * group_,
            .next = i == 0 ? second + padding : nullptr,
            .sum = own,
            .sum_stride = width,
            .rows = rows,
            .group = group_,
            .kernel = kernel_,
        });
      }
    }
  });
}

}  // namespace voxpod::f5
