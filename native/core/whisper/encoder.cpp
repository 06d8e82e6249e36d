#include "whisper/encoder.h"

#include <ATen/ops/constant_pad_nd.h>

#include "nn/window_attention.h"

namespace voxpod::whisper {
namespace {

/// A convolution of size 3 and padding 1 over x [time, channels]: rows of three neighbouring
/// frames, which overlap in memory, times the flattened kernel.
at::Tensor convolve(const Linear& kernel, const at::Tensor& x, int64_t stride) {
  const int64_t channels = x.size(1);
  const at::Tensor padded = at::constant_pad_nd(x, {0, 0, 1, 1});
  const at::Tensor rows =
      padded.as_strided({x.size(0) / stride, 3 * channels}, {stride * channels, 1});
  return kernel.forward(rows, Activation::kGelu);
}

}  // namespace

Encoder::Encoder(Weights& weights, const Geometry& geometry)
    : placement_(weights.placement()), heads_(geometry.encoder_heads) {
  const int64_t width = geometry.width;
  conv1_ = weights.convolution("encoder.conv1", width, geometry.mels, 3);
  conv2_ = weights.convolution("encoder.conv2", width, width, 3);
  positions_ =
      weights.tensor("encoder.embed_positions.weight", {geometry.audio_context, width}, at::kFloat);
  for (int64_t i = 0; i < geometry.encoder_layers; ++i) {
    const std::string at = "encoder.layers." + std::to_string(i);
    const std::string attention = at + ".self_attn";
    layers_.push_back({
        .attention_norm = weights.norm(attention + "_layer_norm", width),
        .query_key_value = weights.linear(
            {attention + ".q_proj", attention + ".k_proj", attention + ".v_proj"}, width, width),
        .attention_out = weights.linear({attention + ".out_proj"}, width, width),
        .mlp_norm = weights.norm(at + ".final_layer_norm", width),
        .mlp_in = weights.linear({at + ".fc1"}, geometry.encoder_inner, width),
        .mlp_out = weights.linear({at + ".fc2"}, width, geometry.encoder_inner),
    });
  }
  norm_ = weights.norm("encoder.layer_norm", width);
}

at::Tensor Encoder::forward(const at::Tensor& mel, const Cancellation& cancellation) const {
  const at::ScalarType dtype = placement_.dtype;
  // Tiles round the norms' float32 on their way in.
  const at::ScalarType normal = placement_.uses_tiles() ? at::kFloat : dtype;
  at::Tensor x = convolve(conv1_, mel.t().to(dtype), 1);
  x = convolve(conv2_, x, 2).to(at::kFloat).add_(positions_);
  for (const Layer& layer : layers_) {
    cancellation.check();
    const at::Tensor qkv = layer.query_key_value.forward(layer.attention_norm.forward(x, normal));
    layer.attention_out.add_to(x, window_attention(qkv, heads_, placement_));
    layer.mlp_out.add_to(
        x, layer.mlp_in.forward(layer.mlp_norm.forward(x, normal), Activation::kGelu));
  }
  return norm_.forward(x, dtype);
}

}  // namespace voxpod::whisper
