#include "tiny_f5.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>

#include <cmath>

namespace voxpod::test {

using f5::BackboneKind;

f5::Geometry tiny_f5(BackboneKind backbone) {
  const bool dit = backbone == BackboneKind::kDiT;
  f5::Geometry g;
  g.backbone = backbone;
  g.mels = 100;
  g.width = 256;
  g.heads = 4;
  g.head = 64;
  g.layers = dit ? 2 : 4;
  g.inner = 512;
  g.text_width = dit ? 64 : 100;
  g.text_layers = dit ? 2 : 0;
  g.text_inner = 128;
  g.vocabulary = 40;
  g.kernel = 31;
  g.group = 64;
  return g;
}

f5::Geometry base_f5() {
  f5::Geometry g;
  g.mels = 100;
  g.width = 1024;
  g.heads = 16;
  g.head = 64;
  g.layers = 22;
  g.inner = 2048;
  g.text_width = 512;
  g.text_layers = 4;
  g.text_inner = 1024;
  g.vocabulary = 2545;
  g.kernel = 31;
  g.group = 64;
  return g;
}

std::map<std::string, at::Tensor> f5_weights(const f5::Geometry& g) {
  auto generator = at::detail::createCPUGenerator(7);
  std::map<std::string, at::Tensor> out;
  const auto random = [&](const std::string& name, std::vector<int64_t> sizes, double scale) {
    return out["ema_model.transformer." + name] =
               at::randn(sizes, generator, at::kFloat).mul_(scale);
  };
  // Outputs about as large as inputs, so that many layers neither vanish nor explode.
  const auto linear = [&](const std::string& name, int64_t rows, int64_t columns,
                          bool bias = true) {
    random(name + ".weight", {rows, columns}, 1 / std::sqrt(static_cast<double>(columns)));
    if (bias) random(name + ".bias", {rows}, 0.1);
  };
  const auto convolution = [&](const std::string& name, int64_t channels, int64_t group,
                               int64_t kernel) {
    random(name + ".weight", {channels, group, kernel},
           1 / std::sqrt(static_cast<double>(group * kernel)));
    random(name + ".bias", {channels}, 0.1);
  };
  const auto ones = [&](const std::string& name, std::vector<int64_t> sizes) {
    random(name, std::move(sizes), 0.1).add_(1);
  };
  const int64_t attention = g.attention_width();
  random("rotary_embed.inv_freq", {g.head / 2}, 1);  // computed anew: only its size counts
  linear("time_embed.time_mlp.0", g.width, 256);
  linear("time_embed.time_mlp.2", g.width, g.width);
  random("text_embed.text_embed.weight", {g.vocabulary + 1, g.text_width}, 1);
  for (int64_t i = 0; i < g.text_layers; ++i) {
    const std::string at = "text_embed.text_blocks." + std::to_string(i);
    convolution(at + ".dwconv", g.text_width, 1, 7);
    ones(at + ".norm.weight", {g.text_width});
    random(at + ".norm.bias", {g.text_width}, 0.1);
    linear(at + ".pwconv1", g.text_inner, g.text_width);
    random(at + ".grn.gamma", {1, 1, g.text_inner}, 0.3);
    random(at + ".grn.beta", {1, 1, g.text_inner}, 0.3);
    linear(at + ".pwconv2", g.text_width, g.text_inner);
  }
  linear("input_embed.proj", g.width, 2 * g.mels + g.text_width);
  convolution("input_embed.conv_pos_embed.conv1d.0", g.width, g.group, g.kernel);
  convolution("input_embed.conv_pos_embed.conv1d.2", g.width, g.group, g.kernel);
  const bool dit = g.backbone == BackboneKind::kDiT;
  for (int64_t i = 0; i < g.layers; ++i) {
    const std::string at = (dit ? "transformer_blocks." : "layers.") + std::to_string(i);
    const std::string own = at + (dit ? ".attn" : ".2");
    for (const char* part : {".to_q", ".to_k", ".to_v"}) linear(own + part, attention, g.width);
    linear(own + ".to_out.0", g.width, attention);
    if (g.query_key_norm) {
      ones(own + ".q_norm.weight", {g.head});
      ones(own + ".k_norm.weight", {g.head});
    }
    linear(at + (dit ? ".ff" : ".4") + ".ff.0.0", g.inner, g.width);
    linear(at + (dit ? ".ff" : ".4") + ".ff.2", g.width, g.inner);
    if (dit) {
      linear(at + ".attn_norm.linear", 6 * g.width, g.width);
    } else {
      ones(at + ".1.g", {g.width});
      ones(at + ".3.g", {g.width});
      if (i >= g.layers / 2) linear(at + ".0", g.width, 2 * g.width, false);
    }
  }
  if (dit) {
    linear("norm_out.linear", 2 * g.width, g.width);
  } else {
    ones("norm_out.g", {g.width});
  }
  if (g.long_skip) linear("long_skip_connection", g.width, 2 * g.width, false);
  linear("proj_out", g.mels, g.width);
  return out;
}

}  // namespace voxpod::test
