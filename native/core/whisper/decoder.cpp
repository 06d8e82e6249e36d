#include "whisper/decoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

namespace voxpod::whisper {

Decoder::Decoder(Weights& weights, const Geometry& geometry)
    : placement_(weights.placement()),
      shape_{.layers = geometry.decoder_layers,
             .heads = geometry.decoder_heads,
             .head_size = geometry.width / geometry.decoder_heads},
      audio_context_(geometry.audio_context),
      text_context_(geometry.text_context) {
  const int64_t width = geometry.width;
  tokens_ = weights.embedding("decoder.embed_tokens", geometry.vocabulary, width);
  positions_ = weights.tensor("decoder.embed_positions.weight", {geometry.text_context, width},
                              placement_.activation());
  for (int64_t i = 0; i < geometry.decoder_layers; ++i) {
    const std::string at = "decoder.layers." + std::to_string(i);
    const std::string self = at + ".self_attn";
    const std::string cross = at + ".encoder_attn";
    layers_.push_back({
        .self_norm = weights.norm(self + "_layer_norm", width),
        .query_key_value = weights.row_linear(
            {self + ".q_proj", self + ".k_proj", self + ".v_proj"}, width, width),
        .self_out = weights.row_linear({self + ".out_proj"}, width, width),
        .cross_norm = weights.norm(cross + "_layer_norm", width),
        .query = weights.row_linear({cross + ".q_proj"}, width, width),
        .key_value = weights.linear({cross + ".k_proj", cross + ".v_proj"}, width, width),
        .cross_out = weights.row_linear({cross + ".out_proj"}, width, width),
        .mlp_norm = weights.norm(at + ".final_layer_norm", width),
        .mlp_in = weights.row_linear({at + ".fc1"}, geometry.decoder_inner, width),
        .mlp_out = weights.row_linear({at + ".fc2"}, width, geometry.decoder_inner),
    });
  }
  norm_ = weights.norm("decoder.layer_norm", width);
}

std::shared_ptr<const CrossCache> Decoder::read_audio(const at::Tensor& encoded) const {
  auto cache = std::make_shared<CrossCache>(shape_, audio_context_, placement_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    cache->set(static_cast<int64_t>(i), layers_[i].key_value.forward(encoded));
  }
  return cache;
}

SelfCache Decoder::make_cache(int64_t sequences) const {
  return SelfCache(shape_, sequences * SelfCache::pages_for(text_context_), placement_);
}

at::Tensor Decoder::embed(std::span<const Row> rows) const {
  std::vector<int64_t> tokens;
  std::vector<int64_t> positions;
  for (const Row& row : rows) {
    tokens.push_back(row.token);
    positions.push_back(row.at.position);
  }
  at::Tensor x = tokens_.rows(tokens);
  return x.add_(positions_.index_select(0, at::tensor(positions, at::kLong).to(placement_.device)));
}

at::Tensor Decoder::hidden(std::span<const Row> rows, RowKind kind, SelfCache& cache,
                           const QueryObserver& observer) const {
  std::vector<CachePosition> positions;
  std::vector<const CrossCache*> windows;
  for (const Row& row : rows) {
    positions.push_back(row.at);
    windows.push_back(row.audio);
  }
  const auto dtype = placement_.activation();
  at::Tensor x = embed(rows);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const auto index = static_cast<int64_t>(i);
    const auto qkv =
        layer.query_key_value.forward(layer.self_norm.forward(x, dtype), kind).chunk(3, 1);
    layer.self_out.add_to(x, cache.attend(index, qkv[0], qkv[1], qkv[2], positions), kind);
    const at::Tensor query = layer.query.forward(layer.cross_norm.forward(x, dtype), kind);
    if (observer) observer(index, query);
    layer.cross_out.add_to(x, CrossCache::attend(index, query, windows), kind);
    layer.mlp_out.add_to(
        x, layer.mlp_in.forward(layer.mlp_norm.forward(x, dtype), kind, Activation::kGelu), kind);
  }
  return x;
}

at::Tensor Decoder::logits(const at::Tensor& hidden, RowKind kind) const {
  return tokens_.forward(norm_.forward(hidden, placement_.activation()), kind)
      .to(at::kCPU, at::kFloat);
}

at::Tensor Decoder::forward(std::span<const Row> rows, RowKind kind, SelfCache& cache,
                            const std::vector<int64_t>& wanted) const {
  at::Tensor x = hidden(rows, kind, cache);
  if (static_cast<int64_t>(wanted.size()) != x.size(0)) {
    x = x.index_select(0, at::tensor(wanted, at::kLong).to(placement_.device));
  }
  return logits(x, RowKind::kStep);
}

}  // namespace voxpod::whisper
