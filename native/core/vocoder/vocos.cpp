#include "vocoder/vocos.h"

#include <ATen/ops/complex.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/istft.h>
#include <ATen/ops/layer_norm.h>
#include <c10/core/InferenceMode.h>

#include "error.h"
#include "vocoder/input.h"

namespace voxpod {
namespace {

constexpr int64_t kKernel = 7;
constexpr int64_t kTransform = 1024;
constexpr int64_t kBins = kTransform / 2 + 1;
constexpr double kEpsilon = 1e-6;
constexpr double kMaxMagnitude = 100;  // vocos/heads.py, ISTFTHead

std::string layer_name(int64_t index) { return "backbone.convnext." + std::to_string(index); }

bool has_layer(const Checkpoint& checkpoint, int64_t index) {
  const std::string prefix = layer_name(index) + ".";
  const auto found = checkpoint.tensors().lower_bound(prefix);
  return found != checkpoint.tensors().end() && found->first.starts_with(prefix);
}

/// The first dimension of a tensor that has one.
int64_t rows_of(const Checkpoint& checkpoint, const std::string& name) {
  const StoredTensor& tensor = checkpoint.at(name);
  if (tensor.shape.empty() || tensor.shape[0] < 1) {
    fail(ErrorCode::kModelInvalid, name, " is empty");
  }
  return tensor.shape[0];
}

}  // namespace

bool Vocos::is_in(const Checkpoint& checkpoint) {
  return checkpoint.contains("backbone.embed.weight") && checkpoint.contains("head.out.weight");
}

at::Tensor Vocos::Norm::forward(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, kEpsilon, false);
}

Vocos::Vocos(const Checkpoint& checkpoint, const Placement& placement)
    : placement_(placement), mel_(MelSpectrogram::Kind::kVocos) {
  const c10::InferenceMode inference;
  Weights weights(checkpoint, placement_, nullptr, std::make_shared<Cancellation>());
  weights.require_finite();
  const auto norm = [&](const std::string& name, int64_t size) {
    return Norm{weights.tensor(name + ".weight", {size}, at::kFloat),
                weights.tensor(name + ".bias", {size}, at::kFloat)};
  };
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    checkpoint.at(name + ".bias");  // which the layer takes for zeros where it is missing
    return weights.linear({name}, out, in);
  };
  const int64_t width = rows_of(checkpoint, "backbone.embed.weight");
  embed_ = weights.convolution("backbone.embed", width, kVocoderMels, kKernel);
  norm_ = norm("backbone.norm", width);
  for (int64_t i = 0; has_layer(checkpoint, i); ++i) {
    const std::string at = layer_name(i);
    const int64_t inner = rows_of(checkpoint, at + ".pwconv1.weight");
    blocks_.push_back({
        .depthwise = {weights.tensor(at + ".dwconv.weight", {width, 1, kKernel}, at::kFloat),
                      weights.tensor(at + ".dwconv.bias", {width}, at::kFloat), placement_},
        .norm = norm(at + ".norm", width),
        .in = linear(at + ".pwconv1", inner, width),
        .out = linear(at + ".pwconv2", width, inner),
        .gamma = weights.tensor(at + ".gamma", {width}, at::kFloat),
    });
  }
  final_norm_ = norm("backbone.final_layer_norm", width);
  head_ = linear("head.out", 2 * kBins, width);
  window_ = at::hann_window(kTransform, at::kFloat).to(placement_.device);
  weight_bytes_ = weights.placed_bytes();
}

at::Tensor Vocos::decode(const at::Tensor& mel, const Cancellation& cancellation,
                         const Observer& observe) const {
  const c10::InferenceMode inference;
  check_mel(mel);
  const int64_t frames = mel.size(0);
  // A transform of one frame leaves nothing once both its halves that reach outside are cut off.
  if (frames == 1) return at::empty({0}, at::kFloat);
  // A row of the convolution's input is kKernel rows of the padded mel, one after another.
  constexpr int64_t kHalf = kKernel / 2;
  const at::Tensor padded =
      at::constant_pad_nd(mel.to(placement_.device, at::kFloat), {0, 0, kHalf, kHalf}).contiguous();
  at::Tensor x =
      embed_.forward(padded.as_strided({frames, kKernel * kVocoderMels}, {kVocoderMels, 1}));
  observe("backbone.embed", x);
  x = norm_.forward(x);
  observe("backbone.norm", x);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    cancellation.check();
    const Block& block = blocks_[i];
    const at::Tensor inner =
        block.in.forward(block.norm.forward(block.depthwise.forward(x)), Activation::kGelu);
    x.addcmul_(block.out.forward(inner), block.gamma);
    observe(layer_name(static_cast<int64_t>(i)), x);
  }
  x = final_norm_.forward(x);
  observe("backbone.final_layer_norm", x);
  x = head_.forward(x);
  observe("head.out", x);
  cancellation.check();
  const at::Tensor magnitude = x.narrow(1, 0, kBins).exp().clamp_max_(kMaxMagnitude);
  const at::Tensor phase = x.narrow(1, kBins, kBins);
  const at::Tensor spectrum = at::complex(phase.cos().mul_(magnitude), phase.sin().mul_(magnitude));
  return at::istft(spectrum.t(), kTransform, kVocoderHop, kTransform, window_, true).to(at::kCPU);
}

}  // namespace voxpod
