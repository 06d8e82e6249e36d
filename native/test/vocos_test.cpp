// A small Vocos of random weights against its definition by ATen's plain operators.
#include "vocoder/vocos.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/fft_irfft.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/polar.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "check.h"
#include "tiny_model.h"
#include "tiny_vocos.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;

constexpr int64_t kWidth = 24;
constexpr int64_t kInner = 40;
constexpr int64_t kLayers = 2;
const Cancellation never;

using Tensors = std::map<std::string, at::Tensor>;

Tensors tiny_vocos() { return random_vocos(kWidth, kInner, kLayers); }

/// [mels, frames] to samples.
at::Tensor slow_vocos(const Tensors& tensors, const at::Tensor& mel) {
  const auto get = [&](const std::string& name) { return tensors.at(name); };
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {kWidth}, get(name + ".weight"), get(name + ".bias"), 1e-6);
  };
  at::Tensor x = at::conv1d(mel.unsqueeze(0), get("backbone.embed.weight"),
                            get("backbone.embed.bias"), 1, at::IntArrayRef(3));
  x = norm(x.transpose(1, 2), "backbone.norm").transpose(1, 2);
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string at = "backbone.convnext." + std::to_string(i);
    at::Tensor h = at::conv1d(x, get(at + ".dwconv.weight"), get(at + ".dwconv.bias"), 1,
                              at::IntArrayRef(3), 1, kWidth);
    h = norm(h.transpose(1, 2), at + ".norm");
    h = at::gelu(at::linear(h, get(at + ".pwconv1.weight"), get(at + ".pwconv1.bias")));
    h = at::linear(h, get(at + ".pwconv2.weight"), get(at + ".pwconv2.bias"));
    x = x.add(h.mul(get(at + ".gamma")).transpose(1, 2));
  }
  x = norm(x.transpose(1, 2), "backbone.final_layer_norm").squeeze(0);
  x = at::linear(x, get("head.out.weight"), get("head.out.bias"));
  const at::Tensor magnitude = x.narrow(1, 0, 513).exp().clamp_max(100);
  EXPECT(magnitude.max().item<float>() == 100);
  const at::Tensor window = at::hann_window(1024, at::kFloat);
  const at::Tensor frames =
      at::fft_irfft(at::polar(magnitude, x.narrow(1, 513, 513).contiguous())).mul(window);
  const int64_t count = frames.size(0);
  at::Tensor sum = at::zeros({(count + 3) * 256}, at::kFloat);
  at::Tensor weight = at::zeros_like(sum);
  for (int64_t i = 0; i < count; ++i) {
    sum.narrow(0, i * 256, 1024).add_(frames[i]);
    weight.narrow(0, i * 256, 1024).add_(window.square());
  }
  return sum.div(weight).narrow(0, 512, (count - 1) * 256);
}

std::unique_ptr<Vocoder> load(const Tensors& tensors, const Placement& placement = {}) {
  const TemporaryFolder folder;
  write_file(folder.path() / "vocos.bin", safetensors(tensors));
  return load_vocoder(folder.path() / "vocos.bin", placement);
}

at::Tensor random_mel(int64_t frames) {
  NoiseGenerator generator(2);
  return draw(generator, {frames, 100}, 1);
}

}  // namespace

TEST(vocos_test, "samples are those of the definition, with kernels and without") {
  const Tensors tensors = tiny_vocos();
  for (const bool kernels : {true, false}) {
    const auto vocoder = load(tensors, {.dtype = at::kBFloat16, .cpu_kernels = kernels});
    EXPECT_EQUAL(std::string(vocoder->name()), std::string("vocos"));
    EXPECT_LESS(4 * kWidth * 1026, vocoder->weight_bytes());
    for (const int64_t frames : {2, 3, 50}) {
      const at::Tensor mel = random_mel(frames);
      const at::Tensor expected = slow_vocos(tensors, mel.t());
      EXPECT_LESS(relative_error(vocoder->decode(mel, never), expected), 1e-4);
      // A transposed view, another type and other strides are taken too.
      const at::Tensor other = mel.t().contiguous().t().to(at::kDouble);
      EXPECT_LESS(relative_error(vocoder->decode(other, never), expected), 1e-4);
    }
    EXPECT_EQUAL(vocoder->decode(random_mel(1), never).numel(), 0);
    EXPECT_EQUAL(vocoder->mel(at::zeros({2560}, at::kFloat)).size(0), 11);
  }
}

TEST(vocos_test, "wrong mels are refused, and a cancelled call ends") {
  const auto vocoder = load(tiny_vocos());
  for (const at::Tensor& bad :
       {at::zeros({0, 100}, at::kFloat), at::zeros({100}, at::kFloat),
        at::zeros({5, 80}, at::kFloat), at::zeros({1, 5, 100}, at::kFloat),
        at::full({5, 100}, NAN, at::kFloat), at::full({5, 100}, INFINITY, at::kFloat)}) {
    EXPECT_ERROR(ErrorCode::kInvalidArgument, vocoder->decode(bad, never));
  }
  Cancellation cancelled;
  cancelled.cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, vocoder->decode(random_mel(5), cancelled));
}

TEST(vocos_test, "a tensor that is missing, of another shape or not finite is refused") {
  const Tensors whole = tiny_vocos();
  load(whole);
  for (const auto& [name, tensor] : whole) {
    if (name.starts_with("feature_extractor")) continue;
    Tensors bad = whole;
    bad.erase(name);
    EXPECT_ERROR(ErrorCode::kModelInvalid, load(bad));
    bad[name] = at::zeros({3}, at::kFloat);
    EXPECT_ERROR(ErrorCode::kModelInvalid, load(bad));
    bad[name] = tensor.clone();
    bad[name].view({-1})[0] = NAN;
    EXPECT_ERROR(ErrorCode::kModelInvalid, load(bad));
  }
  EXPECT_ERROR(ErrorCode::kModelInvalid, load({{"weight", at::zeros({3}, at::kFloat)}}));
  EXPECT_ERROR(ErrorCode::kModelNotFound, load_vocoder("/absent/vocos.bin", {}));
}
