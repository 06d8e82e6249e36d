#include "tiny_vocos.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/hann_window.h>

#include <cmath>
#include <vector>

namespace voxpod::test {

at::Tensor draw(NoiseGenerator& generator, at::IntArrayRef shape, double scale) {
  at::Tensor out = at::empty(shape, at::kFloat);
  generator.draw({out.data_ptr<float>(), static_cast<size_t>(out.numel())});
  return out.mul_(scale);
}

std::map<std::string, at::Tensor> random_vocos(int64_t width, int64_t inner, int64_t layers) {
  NoiseGenerator generator(1);
  std::map<std::string, at::Tensor> out;
  const auto pair = [&](const std::string& name, const std::vector<int64_t>& shape, double scale) {
    out[name + ".weight"] = draw(generator, shape, scale);
    out[name + ".bias"] = draw(generator, shape[0], 0.1);
  };
  const auto norm = [&](const std::string& name) {
    pair(name, {width}, 0.3);
    out[name + ".weight"].add_(1);
  };
  const double narrow = 1 / std::sqrt(static_cast<double>(width));
  pair("backbone.embed", {width, 100, 7}, 0.05);
  norm("backbone.norm");
  for (int64_t i = 0; i < layers; ++i) {
    const std::string at = "backbone.convnext." + std::to_string(i);
    pair(at + ".dwconv", {width, 1, 7}, 0.4);
    norm(at + ".norm");
    pair(at + ".pwconv1", {inner, width}, narrow);
    pair(at + ".pwconv2", {width, inner}, narrow);
    out[at + ".gamma"] = draw(generator, {width}, 0.5);
  }
  norm("backbone.final_layer_norm");
  pair("head.out", {1026, width}, 5 * narrow);  // some magnitudes reach their limit
  out["feature_extractor.mel_spec.spectrogram.window"] = at::hann_window(1024, at::kFloat);
  return out;
}

}  // namespace voxpod::test
