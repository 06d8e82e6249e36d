#include "f5/time_embedding.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>

#include <cmath>

namespace voxpod::f5 {
namespace {

constexpr int64_t kWaves = 128;  ///< frequencies
constexpr double kScale = 1000;

}  // namespace

TimeEmbedding::TimeEmbedding(Weights& weights, const Geometry& geometry)
    : placement_(weights.placement()),
      in_(weights.row_linear({"time_embed.time_mlp.0"}, geometry.width, 2 * kWaves)),
      out_(weights.row_linear({"time_embed.time_mlp.2"}, geometry.width, geometry.width)) {}

at::Tensor TimeEmbedding::forward(std::span<const float> times) const {
  const at::Tensor frequencies =
      at::arange(kWaves, at::kFloat).mul_(-std::log(10000.0) / (kWaves - 1)).exp_();
  const at::Tensor points =
      at::tensor(at::ArrayRef<float>(times.data(), times.size())).mul_(kScale);
  const at::Tensor angles = at::outer(points, frequencies);
  const at::Tensor waves =
      at::cat({angles.sin(), angles.cos()}, 1).to(placement_.device, placement_.activation());
  return out_.forward(at::silu(in_.forward(waves, RowKind::kStep)), RowKind::kStep).to(at::kFloat);
}

}  // namespace voxpod::f5
