#include "f5/unett.h"

#include <ATen/ops/cat.h>

namespace voxpod::f5 {

UNetT::UNetT(Weights& weights, const Geometry& geometry) : Backbone(weights, geometry) {
  const int64_t width = geometry.width;
  for (int64_t i = 0; i < geometry.layers; ++i) {
    const std::string at = "layers." + std::to_string(i);
    std::optional<Linear> skip;
    if (i >= geometry.layers / 2) skip = weights.linear({at + ".0"}, width, 2 * width);
    layers_.push_back({
        .name = at,
        .skip = std::move(skip),
        .attention_norm = weights.tensor(at + ".1.g", {width}, at::kFloat),
        .attention = Attention(weights, geometry, at + ".2"),
        .forward_norm = weights.tensor(at + ".3.g", {width}, at::kFloat),
        .forward = FeedForward(weights, geometry, at + ".4"),
    });
  }
  last_norm_ = weights.tensor("norm_out.g", {width}, at::kFloat);
  out_ = weights.row_linear({"proj_out"}, geometry.mels, width);
}

at::Tensor UNetT::condition(std::span<const float> times) const { return time_.forward(times); }

at::Tensor UNetT::velocity(std::span<const Half> halves, const Check& check) {
  std::vector<Sequence> sequences;
  at::Tensor x = begin(halves, 1, sequences);
  for (const Sequence& sequence : sequences) {
    x.select(0, sequence.first).copy_(sequence.conditioning);
  }
  at::Tensor normal = normal_like(x);
  std::vector<at::Tensor> skips;
  at::Tensor delta;  // what the layer before has still to add
  at::Tensor none;
  for (const Layer& layer : layers_) {
    check();
    if (layer.skip) {
      residual_norm(x, delta, sequences, {}, none, placement_);
      delta.reset();
      join(x, skips.back(), *layer.skip, sequences);
      skips.pop_back();
    }
    residual_norm(x, delta, sequences, {.weight = layer.attention_norm}, normal, placement_);
    if (!layer.skip) skips.push_back(x.clone());
    saw(layer.name + ".1", normal);
    delta = layer.attention.forward(normal, sequences, rotary_);
    saw(layer.name + ".2", delta);
    residual_norm(x, delta, sequences, {.weight = layer.forward_norm}, normal, placement_);
    saw(layer.name + ".3", normal);
    delta = layer.forward.forward(normal, sequences);
    saw(layer.name + ".4", delta);
  }
  residual_norm(x, delta, sequences, {.weight = last_norm_}, normal, placement_);
  saw("norm_out", normal);
  std::vector<at::Tensor> spoken;  // without the rows of time
  for (const Sequence& sequence : sequences) {
    spoken.push_back(normal.narrow(0, sequence.first + 1, sequence.rows - 1));
  }
  return out_.forward(at::cat(spoken).to(placement_.activation()), RowKind::kStep).to(at::kFloat);
}

}  // namespace voxpod::f5
