#include "f5/backbone.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "f5/dit.h"
#include "f5/unett.h"

namespace voxpod::f5 {

Backbone::FeedForward::FeedForward(Weights& weights, const Geometry& geometry,
                                   const std::string& at)
    : placement(weights.placement()),
      in(weights.linear({at + ".ff.0.0"}, geometry.inner, geometry.width)),
      out(weights.linear({at + ".ff.2"}, geometry.width, geometry.inner)) {}

at::Tensor Backbone::FeedForward::forward(const at::Tensor& x,
                                          std::span<const Sequence> sequences) const {
  return apply(out, apply(in, x, sequences, placement, Activation::kGeluTanh), sequences,
               placement);
}

Backbone::Backbone(Weights& weights, const Geometry& geometry)
    : geometry_(geometry),
      placement_(weights.placement()),
      text_(weights, geometry),
      input_(weights, geometry),
      time_(weights, geometry),
      rotary_(geometry.head) {}

at::Tensor Backbone::begin(std::span<const Half> halves, int64_t lead,
                           std::vector<Sequence>& sequences) {
  int64_t total = 0;
  int64_t longest = 0;
  for (const Half& half : halves) {
    const int64_t rows = half.mel.size(0) + lead;
    sequences.push_back({.first = total, .rows = rows, .conditioning = half.conditioning});
    total += rows;
    longest = std::max(longest, rows);
  }
  rotary_.reach(longest, placement_.device);
  at::Tensor x =
      at::empty({total, geometry_.width}, at::TensorOptions(at::kFloat).device(placement_.device));
  for (size_t i = 0; i < halves.size(); ++i) {
    at::Tensor own = x.narrow(0, sequences[i].first + lead, sequences[i].rows - lead);
    input_.forward(halves[i].mel, halves[i].context, own);
    saw("input_embed", own);
  }
  return x;
}

void Backbone::join(at::Tensor& x, const at::Tensor& skip, const Linear& projection,
                    std::span<const Sequence> sequences) const {
  const at::Tensor both = at::cat({x, skip}, 1).to(placement_.dtype);
  x.zero_();
  apply_to(x, projection, both, sequences, placement_);
}

std::unique_ptr<Backbone> make_backbone(Weights& weights, const Geometry& geometry) {
  if (geometry.backbone == BackboneKind::kDiT) return std::make_unique<DiT>(weights, geometry);
  return std::make_unique<UNetT>(weights, geometry);
}

}  // namespace voxpod::f5
