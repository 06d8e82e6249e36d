#include "f5/text_embedding.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace voxpod::f5 {
namespace {

constexpr int64_t kKernel = 7;
constexpr double kEpsilon = 1e-6;
/// Positions behind it share its last row in the UNetT (unett.py, precompute_max_pos).
constexpr int64_t kUNetPositions = 4096;

/// For each frame the token that is spoken there: T / L frames for each of L tokens, and one more
/// for each of the last T % L (k2-fsa/ZipVoice's average upsampling).
at::Tensor upsample(const at::Tensor& text, int64_t tokens, int64_t frames) {
  if (tokens == 0) return at::zeros_like(text);
  std::vector<int64_t> index;
  for (int64_t i = 0; i < tokens; ++i) {
    const int64_t repeats = frames / tokens + (i >= tokens - frames % tokens ? 1 : 0);
    index.insert(index.end(), static_cast<size_t>(repeats), i);
  }
  return text.index_select(0, at::tensor(index, at::kLong).to(text.device()));
}

}  // namespace

TextEmbedding::TextEmbedding(Weights& weights, const Geometry& geometry)
    : geometry_(geometry), placement_(weights.placement()) {
  const int64_t width = geometry.text_width;
  const int64_t inner = geometry.text_inner;
  table_ =
      weights.tensor("text_embed.text_embed.weight", {geometry.vocabulary + 1, width}, at::kFloat);
  for (int64_t i = 0; i < geometry.text_layers; ++i) {
    const std::string at = "text_embed.text_blocks." + std::to_string(i);
    const auto vector = [&](const std::string& name, int64_t size) {
      return weights.tensor(at + name, {size}, at::kFloat);
    };
    const auto channels = [&](const std::string& name) {
      return weights.tensor(at + name, {1, 1, inner}, at::kFloat).view({inner});
    };
    blocks_.push_back({
        .depthwise = weights.tensor(at + ".dwconv.weight", {width, 1, kKernel}, at::kFloat),
        .depthwise_bias = vector(".dwconv.bias", width),
        .norm_weight = vector(".norm.weight", width),
        .norm_bias = vector(".norm.bias", width),
        .in = weights.linear({at + ".pwconv1"}, inner, width),
        .gamma = channels(".grn.gamma"),
        .beta = channels(".grn.beta"),
        .out = weights.linear({at + ".pwconv2"}, width, inner),
    });
  }
}

/// Cosines, then sines, of the position over 10000^(2i / width): model/modules.py,
/// precompute_freqs_cis.
at::Tensor TextEmbedding::positions(int64_t frames) const {
  const int64_t width = geometry_.text_width;
  const at::Tensor exponents = at::arange(0, width, 2, at::kFloat).div_(static_cast<double>(width));
  const at::Tensor frequencies = at::pow(at::Scalar(10000.0), exponents).reciprocal_();
  at::Tensor steps = at::arange(frames, at::kFloat);
  if (geometry_.backbone == BackboneKind::kUNetT) steps.clamp_max_(kUNetPositions - 1);
  const at::Tensor angles = at::outer(steps, frequencies);
  return at::cat({angles.cos(), angles.sin()}, 1).to(placement_.device);
}

at::Tensor TextEmbedding::convolve(const Block& block, const at::Tensor& x) const {
  const int64_t width = geometry_.text_width;
  at::Tensor h = at::conv1d(x.t().unsqueeze(0), block.depthwise, block.depthwise_bias, 1,
                            kKernel / 2, 1, width)
                     .squeeze(0)
                     .t()
                     .contiguous();
  h = at::layer_norm(h, {width}, block.norm_weight, block.norm_bias, kEpsilon, false);
  h = block.in.forward(h.to(placement_.dtype), Activation::kGelu).to(at::kFloat);
  const at::Tensor norm = at::linalg_vector_norm(h, 2, 0, true);
  const at::Tensor relative = norm.div(norm.mean(1, true).add_(kEpsilon));
  h = h.mul(relative.mul_(block.gamma).add_(1)).add_(block.beta);
  return x.add(block.out.forward(h.to(placement_.dtype)).to(at::kFloat));
}

/// ids [frames], of which the first `tokens` are no filler in the text that is spoken.
at::Tensor TextEmbedding::embed(const at::Tensor& ids, int64_t tokens,
                                const Cancellation& cancellation) const {
  const int64_t frames = ids.size(0);
  at::Tensor x = table_.index_select(0, ids);
  const bool masked = geometry_.architecture.mask_text_padding;
  const auto mask = [&] {
    if (masked) x.narrow(0, tokens, frames - tokens).zero_();
  };
  if (!blocks_.empty()) {
    x.add_(positions(frames));
    mask();
    for (const Block& block : blocks_) {
      cancellation.check();
      x = convolve(block, x);
      mask();
    }
  }
  return geometry_.architecture.average_upsampling ? upsample(x, tokens, frames) : x;
}

TextEmbedding::Embedded TextEmbedding::forward(std::span<const int64_t> tokens, int64_t frames,
                                               bool guided,
                                               const Cancellation& cancellation) const {
  std::vector<int64_t> ids(static_cast<size_t>(frames), 0);
  std::transform(tokens.begin(), tokens.end(), ids.begin(), [](int64_t id) { return id + 1; });
  const at::Tensor text = at::tensor(ids, at::kLong).to(placement_.device);
  const auto count = static_cast<int64_t>(tokens.size());
  Embedded out = {.text = embed(text, count, cancellation), .dropped = {}};
  if (guided) out.dropped = embed(at::zeros_like(text), count, cancellation);
  return out;
}

}  // namespace voxpod::f5
