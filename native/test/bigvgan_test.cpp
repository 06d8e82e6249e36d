// A small BigVGAN of random weights against what NVIDIA's own code makes of them, in the package
// bigvgan 2.4.1 on torch 2.11: fixtures/make_bigvgan.py.
#include "vocoder/bigvgan.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstring>

#include "check.h"
#include "signal/noise.h"
#include "tiny_model.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;
using Tensors = std::map<std::string, at::Tensor>;

const Cancellation never;
constexpr int64_t kFrames = 5;

const char* const kConfig = R"({
  "resblock": "1", "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8],
  "upsample_initial_channel": 112, "resblock_kernel_sizes": [3, 7],
  "resblock_dilation_sizes": [[1, 3], [2, 5]], "use_tanh_at_final": false,
  "use_bias_at_final": false, "activation": "snakebeta", "snake_logscale": true,
  "num_mels": 100, "sampling_rate": 24000, "hop_size": 256
})";

/// The names and shapes of such a model's state_dict, in the order of their names.
std::map<std::string, std::vector<int64_t>> shapes() {
  std::map<std::string, std::vector<int64_t>> out;
  const auto layer = [&](const std::string& name, const std::vector<int64_t>& shape, int64_t bias) {
    out[name + ".weight_v"] = shape;
    out[name + ".weight_g"] = {shape[0], 1, 1};
    if (bias > 0) out[name + ".bias"] = {bias};
  };
  const auto snake = [&](const std::string& name, int64_t channels) {
    out[name + ".act.alpha"] = {channels};
    out[name + ".act.beta"] = {channels};
  };
  constexpr int64_t kKernels[] = {16, 16, 8};
  constexpr int64_t kSizes[] = {3, 7};
  int64_t width = 112;
  int block = 0;
  layer("conv_pre", {width, 100, 7}, width);
  for (int i = 0; i < 3; ++i, width /= 2) {
    const int64_t half = width / 2;
    layer("ups." + std::to_string(i) + ".0", {width, half, kKernels[i]}, half);
    for (const int64_t size : kSizes) {
      const std::string at = "resblocks." + std::to_string(block++) + ".";
      for (int j = 0; j < 2; ++j) {
        layer(at + "convs1." + std::to_string(j), {half, half, size}, half);
        layer(at + "convs2." + std::to_string(j), {half, half, size}, half);
      }
      for (int j = 0; j < 4; ++j) snake(at + "activations." + std::to_string(j), half);
    }
  }
  snake("activation_post", width);
  layer("conv_post", {1, width, 7}, 0);
  return out;
}

struct Model {
  Tensors tensors;
  at::Tensor mel;
};

Model random_model() {
  NoiseGenerator generator(7);
  const auto draw = [&](at::IntArrayRef shape) {
    at::Tensor out = at::zeros(shape, at::kFloat);
    generator.draw({out.data_ptr<float>(), static_cast<size_t>(out.numel())});
    return out;
  };
  Model out;
  for (const auto& [name, shape] : shapes()) {
    at::Tensor tensor = draw(shape);
    if (name.ends_with("weight_g")) {
      tensor.mul_(0.1).add_(1).mul_(name.starts_with("conv_post") ? 0.05 : 1);
    } else if (!name.ends_with("weight_v")) {
      tensor.mul_(0.3);
    }
    out.tensors["generator." + name] = tensor;
  }
  out.mel = draw({kFrames, 100});
  return out;
}

at::Tensor expected() {
  const std::string bytes = read_file(std::filesystem::path(VOXPOD_FIXTURES) / "bigvgan.f32");
  at::Tensor out = at::zeros({kFrames * 256}, at::kFloat);
  EXPECT_EQUAL(bytes.size(), out.nbytes());
  std::memcpy(out.data_ptr(), bytes.data(), bytes.size());
  return out;
}

std::unique_ptr<Vocoder> load(const Tensors& tensors, const std::string& config = kConfig,
                              const Placement& placement = {}) {
  const TemporaryFolder folder;
  write_file(folder.path() / "bigvgan_generator.pt", safetensors(tensors));
  if (!config.empty()) write_file(folder.path() / "config.json", config);
  return load_vocoder(folder.path() / "bigvgan_generator.pt", placement);
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = kConfig;
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST(bigvgan_test, "samples are the reference's, with kernels and without") {
  const Model model = random_model();
  for (const bool kernels : {true, false}) {
    const auto vocoder = load(model.tensors, kConfig, {.cpu_kernels = kernels});
    EXPECT_EQUAL(std::string(vocoder->name()), std::string("bigvgan"));
    const at::Tensor out = vocoder->decode(model.mel, never);
    EXPECT_LESS(relative_error(out, expected()), 1e-4);
    EXPECT_EQUAL(vocoder->mel(at::zeros({2560}, at::kFloat)).size(0), 10);
    EXPECT_EQUAL(vocoder->decode(model.mel.narrow(0, 0, 1), never).numel(), 256);
  }
}

TEST(bigvgan_test, "the weights' other forms: folded, by parametrizations, without a prefix") {
  const Model model = random_model();
  Tensors folded;
  Tensors parametrised;
  for (const auto& [name, tensor] : model.tensors) {
    std::string base = name.substr(std::strlen("generator."));
    if (!base.ends_with("weight_v")) {
      if (!base.ends_with("weight_g")) folded[base] = parametrised[base] = tensor;
      continue;
    }
    base.resize(base.size() - std::strlen("_v"));
    const at::Tensor length = model.tensors.at("generator." + base + "_g");
    base.resize(base.size() - std::strlen("weight"));
    parametrised[base + "parametrizations.weight.original0"] = length;
    parametrised[base + "parametrizations.weight.original1"] = tensor;
    const at::Tensor norm = at::linalg_vector_norm(tensor, 2, at::IntArrayRef({1, 2}), true);
    folded[base + "weight"] = tensor.mul(length).div(norm);
  }
  for (const Tensors& tensors : {folded, parametrised}) {
    EXPECT_LESS(relative_error(load(tensors)->decode(model.mel, never), expected()), 1e-4);
  }
}

TEST(bigvgan_test, "wrong tensors, configurations and calls are refused") {
  const Model model = random_model();
  for (const auto& [name, tensor] : model.tensors) {
    // A few of each kind: a load takes its time.
    if (name.find("resblocks") != std::string::npos &&
        !name.starts_with("generator.resblocks.3.")) {
      continue;
    }
    Tensors bad = model.tensors;
    bad.erase(name);
    EXPECT_ERROR(ErrorCode::kModelInvalid, load(bad));
    bad[name] = tensor.clone();
    bad[name].view({-1})[0] = INFINITY;
    EXPECT_ERROR(ErrorCode::kModelInvalid, load(bad));
  }
  Tensors flat = model.tensors;
  flat["generator.conv_pre.weight_v"] = at::zeros({112, 100, 7}, at::kFloat);
  EXPECT_ERROR(ErrorCode::kModelInvalid, load(flat));
  EXPECT_ERROR(ErrorCode::kModelNotFound, load(model.tensors, ""));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, load(model.tensors, "{"));
  for (const auto& [from, to] : {
           std::pair("\"num_mels\": 100", "\"num_mels\": 80"),
           std::pair("24000", "22050"),
           std::pair("\"hop_size\": 256", "\"hop_size\": 512"),
           std::pair("\"1\"", "\"2\""),
           std::pair("snakebeta", "relu"),
       }) {
    EXPECT_ERROR(ErrorCode::kModelUnsupported, load(model.tensors, replaced(from, to)));
  }
  for (const auto& [from, to] : {
           std::pair("[8, 8, 4]", "[8, 8, 2]"),
           std::pair("[8, 8, 4]", "[8, 8]"),
           std::pair("[8, 8, 4]", "[16, 16, 1]"),
           std::pair("[16, 16, 8]", "[15, 16, 8]"),
           std::pair("[16, 16, 8]", "[4, 16, 8]"),
           std::pair("[3, 7]", "[3, 0]"),
           std::pair("[3, 7]", "[3, 8]"),
           std::pair("[3, 7]", "[3]"),
           std::pair("[[1, 3], [2, 5]]", "[[1, 3], []]"),
           std::pair("[[1, 3], [2, 5]]", "[[1, 3], 5]"),
           std::pair("[[1, 3], [2, 5]]", "[[1, 3], [2, 1e9]]"),
           std::pair("\"use_bias_at_final\": false", "\"use_bias_at_final\": 0"),
           std::pair("\"activation\"", "\"other\""),
       }) {
    EXPECT_ERROR(ErrorCode::kModelInvalid, load(model.tensors, replaced(from, to)));
  }
  const auto vocoder = load(model.tensors);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, vocoder->decode(at::zeros({5, 80}, at::kFloat), never));
  Cancellation cancelled;
  cancelled.cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, vocoder->decode(model.mel, cancelled));
}
