#include "f5/dit.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>

namespace voxpod::f5 {
namespace {

/// Vectors that a block takes from the conditioning, in the order of AdaLayerNorm's chunks; the
/// last norm has scale and shift the other way round (AdaLayerNorm_Final).
enum Chunk {
  kAttentionShift,
  kAttentionScale,
  kAttentionGate,
  kForwardShift,
  kForwardScale,
  kForwardGate,
  kChunks
};

}  // namespace

DiT::DiT(Weights& weights, const Geometry& geometry) : Backbone(weights, geometry) {
  const int64_t width = geometry.width;
  for (int64_t i = 0; i < geometry.layers; ++i) {
    const std::string at = "transformer_blocks." + std::to_string(i);
    blocks_.push_back({
        .name = at,
        .modulation = weights.row_linear({at + ".attn_norm.linear"}, kChunks * width, width),
        .attention = Attention(weights, geometry, at + ".attn"),
        .forward = FeedForward(weights, geometry, at + ".ff"),
    });
  }
  if (geometry.long_skip) {
    long_skip_ = weights.linear({"long_skip_connection"}, width, 2 * width);
  }
  last_modulation_ = weights.row_linear({"norm_out.linear"}, 2 * width, width);
  out_ = weights.row_linear({"proj_out"}, geometry.mels, width);
}

at::Tensor DiT::condition(std::span<const float> times) const {
  const at::Tensor time = at::silu(time_.forward(times)).to(placement_.activation());
  std::vector<at::Tensor> parts;
  for (const Block& block : blocks_) {
    parts.push_back(block.modulation.forward(time, RowKind::kStep).to(at::kFloat));
  }
  parts.push_back(last_modulation_.forward(time, RowKind::kStep).to(at::kFloat));
  return at::cat(parts, 1);
}

at::Tensor DiT::velocity(std::span<const Half> halves, const Check& check) {
  std::vector<Sequence> sequences;
  at::Tensor x = begin(halves, 0, sequences);
  at::Tensor input;
  if (long_skip_) input = x.clone();
  at::Tensor normal = normal_like(x);
  at::Tensor delta;  // what the layer before has still to add
  at::Tensor none;
  int64_t gate = -1;
  int64_t chunks = 0;
  const auto at = [&](int64_t chunk) { return (chunks + chunk) * geometry_.width; };
  for (const Block& block : blocks_) {
    check();
    residual_norm(x, delta, sequences,
                  {.gate = gate, .scale = at(kAttentionScale), .shift = at(kAttentionShift)},
                  normal, placement_);
    if (chunks > 0) saw(blocks_[static_cast<size_t>(chunks / kChunks - 1)].name, x);
    saw(block.name + ".attn_norm", normal);
    delta = block.attention.forward(normal, sequences, rotary_);
    saw(block.name + ".attn", delta);
    residual_norm(
        x, delta, sequences,
        {.gate = at(kAttentionGate), .scale = at(kForwardScale), .shift = at(kForwardShift)},
        normal, placement_);
    delta = block.forward.forward(normal, sequences);
    saw(block.name + ".ff", delta);
    gate = at(kForwardGate);
    chunks += kChunks;
  }
  if (long_skip_) {
    residual_norm(x, delta, sequences, {.gate = gate}, none, placement_);
    join(x, input, *long_skip_, sequences);
    delta.reset();
  }
  residual_norm(x, delta, sequences, {.gate = gate, .scale = at(0), .shift = at(1)}, normal,
                placement_);
  saw("norm_out", normal);
  return out_.forward(normal.to(placement_.activation()), RowKind::kStep).to(at::kFloat);
}

}  // namespace voxpod::f5
