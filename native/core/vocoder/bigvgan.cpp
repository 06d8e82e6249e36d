#include "vocoder/bigvgan.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <c10/core/InferenceMode.h>

#include "error.h"
#include "nn/weights.h"
#include "vocoder/input.h"

namespace voxpod {
namespace {

constexpr int64_t kEdgeKernel = 7;  // of the first and the last convolution
constexpr char kPrefix[] = "generator.";

std::string prefix_of(const Checkpoint& checkpoint) {
  return checkpoint.contains(std::string(kPrefix) + "conv_pre.bias") ? kPrefix : "";
}

/// [samples, channels] as [1, channels, 1, samples] in the same memory.
at::Tensor to_image(const at::Tensor& x) { return x.t().unsqueeze(0).unsqueeze(2); }

at::Tensor to_rows(const at::Tensor& image) { return image.squeeze(2).squeeze(0).t().contiguous(); }

std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

}  // namespace

/// Takes layers out of a checkpoint and counts their bytes.
class BigVgan::Loader {
 public:
  Loader(const Checkpoint& checkpoint, const BigVganConfig& config, const Placement& placement)
      : checkpoint_(checkpoint),
        config_(config),
        placement_(placement),
        prefix_(prefix_of(checkpoint)),
        weights_(checkpoint, placement, nullptr, std::make_shared<Cancellation>()) {
    weights_.require_finite();
  }

  int64_t bytes() const { return bytes_; }

  /// The first dimension of a bias.
  int64_t width(const std::string& name) const {
    const StoredTensor& bias = checkpoint_.at(prefix_ + name + ".bias");
    if (bias.shape.size() != 1 || bias.shape[0] < 1) {
      fail(ErrorCode::kModelInvalid, name, ".bias is no vector");
    }
    return bias.shape[0];
  }

  Convolution convolution(const std::string& name, int64_t out, int64_t in, int64_t kernel,
                          int64_t dilation = 1, bool bias = true) {
    Convolution layer;
    layer.weight = image(weight(name, {out, in, kernel}));
    if (bias) layer.bias = tensor(name + ".bias", {out});
    layer.dilation = dilation;
    return layer;
  }

  Upsampling upsampling(const std::string& name, int64_t in, int64_t out,
                        const BigVganConfig::Upsampling& config) {
    Upsampling layer;
    layer.weight = image(weight(name, {in, out, config.kernel}));
    layer.bias = tensor(name + ".bias", {out});
    layer.rate = config.rate;
    return layer;
  }

  Snake snake(const std::string& name, int64_t channels) {
    const auto parameter = [&](const char* which) {
      const at::Tensor stored = tensor(name + ".act." + which, {channels});
      return config_.logarithms ? stored.exp() : stored;
    };
    const at::Tensor alpha = parameter("alpha");
    return {alpha, config_.own_beta ? parameter("beta") : alpha, placement_};
  }

 private:
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape) {
    at::Tensor out = weights_.tensor(prefix_ + name, shape, at::kFloat);
    bytes_ += static_cast<int64_t>(out.nbytes());
    return out;
  }

  /// A weight as it is, or of the length of `g` in the direction of `v`, one for each of its first
  /// dimension (torch/nn/utils/weight_norm.py and, with other names, parametrizations.py).
  at::Tensor weight(const std::string& name, at::IntArrayRef shape) {
    const std::string at = prefix_ + name;
    if (checkpoint_.contains(at + ".weight")) return tensor(name + ".weight", shape);
    const bool older = checkpoint_.contains(at + ".weight_g");
    const std::string parts = at + (older ? ".weight_" : ".parametrizations.weight.original");
    const at::Tensor length =
        weights_.tensor(parts + (older ? "g" : "0"), {shape[0], 1, 1}, at::kFloat);
    at::Tensor out = weights_.tensor(parts + (older ? "v" : "1"), shape, at::kFloat);
    const at::Tensor norm = at::linalg_vector_norm(out, 2, at::IntArrayRef({1, 2}), true);
    out.mul_(length.div(norm));
    if (!at::isfinite(out).all().item<bool>()) {
      fail(ErrorCode::kModelInvalid, at, " has a normalised weight of length 0");
    }
    bytes_ += static_cast<int64_t>(out.nbytes());
    return out;
  }

  static at::Tensor image(const at::Tensor& weight) {
    return weight.unsqueeze(2).contiguous(at::MemoryFormat::ChannelsLast);
  }

  const Checkpoint& checkpoint_;
  const BigVganConfig& config_;
  const Placement& placement_;
  const std::string prefix_;
  Weights weights_;
  int64_t bytes_ = 0;
};

at::Tensor BigVgan::Convolution::forward(const at::Tensor& x) const {
  const int64_t padding = (weight.size(3) - 1) / 2 * dilation;
  return to_rows(at::conv2d(to_image(x), weight, optional(bias), 1, at::IntArrayRef({0, padding}),
                            at::IntArrayRef({1, dilation})));
}

at::Tensor BigVgan::Upsampling::forward(const at::Tensor& x) const {
  const int64_t padding = (weight.size(3) - rate) / 2;
  return to_rows(
      at::conv_transpose2d(to_image(x), weight, optional(bias), {1, rate}, {0, padding}));
}

bool BigVgan::is_in(const Checkpoint& checkpoint) {
  const std::string prefix = prefix_of(checkpoint);
  return checkpoint.contains(prefix + "conv_pre.bias") &&
         checkpoint.contains(prefix + "resblocks.0.convs1.0.bias");
}

BigVgan::BigVgan(const Checkpoint& checkpoint, const std::filesystem::path& config_file,
                 const Placement& placement)
    : placement_(placement), mel_(MelSpectrogram::Kind::kBigVgan) {
  const c10::InferenceMode inference;
  const BigVganConfig config = read_bigvgan_config(config_file);
  Loader load(checkpoint, config, placement);
  final_tanh_ = config.final_tanh;
  int64_t width = load.width("conv_pre");
  before_ = load.convolution("conv_pre", width, kVocoderMels, kEdgeKernel);
  size_t block = 0;
  for (size_t i = 0; i < config.upsamplings.size(); ++i) {
    const int64_t in = width;
    width /= 2;
    Stage stage;
    stage.up = load.upsampling("ups." + std::to_string(i) + ".0", in, width, config.upsamplings[i]);
    for (const BigVganConfig::ResidualBlock& shape : config.blocks) {
      const std::string at = "resblocks." + std::to_string(block++);
      auto& residuals = stage.blocks.emplace_back();
      for (size_t j = 0; j < shape.dilations.size(); ++j) {
        const auto name = [&](const char* part, size_t index) {
          return at + "." + part + "." + std::to_string(index);
        };
        Residual residual;
        residual.first_snake = load.snake(name("activations", 2 * j), width);
        residual.first =
            load.convolution(name("convs1", j), width, width, shape.kernel, shape.dilations[j]);
        residual.second_snake = load.snake(name("activations", 2 * j + 1), width);
        residual.second = load.convolution(name("convs2", j), width, width, shape.kernel);
        residuals.push_back(std::move(residual));
      }
    }
    stages_.push_back(std::move(stage));
  }
  last_snake_ = load.snake("activation_post", width);
  after_ = load.convolution("conv_post", 1, width, kEdgeKernel, 1, config.final_bias);
  weight_bytes_ = load.bytes();
}

at::Tensor BigVgan::decode(const at::Tensor& mel, const Cancellation& cancellation) const {
  const c10::InferenceMode inference;
  check_mel(mel);
  at::Tensor x = before_.forward(mel.to(placement_.device, at::kFloat).contiguous());
  for (const Stage& stage : stages_) {
    x = stage.up.forward(x);
    at::Tensor sum;
    for (const auto& block : stage.blocks) {
      at::Tensor y = x;
      for (const Residual& residual : block) {
        cancellation.check();
        const at::Tensor inner = residual.first.forward(residual.first_snake.forward(y));
        y = residual.second.forward(residual.second_snake.forward(inner)).add_(y);
      }
      sum = sum.defined() ? sum.add_(y) : y;
    }
    x = sum.div_(static_cast<double>(stage.blocks.size()));
  }
  x = after_.forward(last_snake_.forward(x)).squeeze(1);
  return (final_tanh_ ? x.tanh_() : x.clamp_(-1, 1)).to(at::kCPU);
}

}  // namespace voxpod
