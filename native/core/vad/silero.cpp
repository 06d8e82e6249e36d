#include "vad/silero.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "error.h"
#include "kernels/cpu/dispatch.h"

namespace voxpod::vad {
namespace {

constexpr int64_t kFrame = 256;            // samples of one transform
constexpr int64_t kHop = 128;              // samples between two of them
constexpr int64_t kFrames = 4;             // transforms of a window
constexpr int64_t kBins = kFrame / 2 + 1;  // frequencies of one
constexpr int64_t kReflected = 64;         // samples mirrored behind a window
constexpr int64_t kSignal = kContext + kWindow + kReflected;
constexpr int64_t kPaddedFrames = kFrames + 2;  // a convolution of 3 sees zeros at both ends
static_assert((kSignal - kFrame) / kHop + 1 == kFrames);

// Windows computed at once: enough that weights are read seldom, few enough that all between two
// layers stays in the second-level cache.
constexpr int64_t kTile = 32;

// Far above any scale that PCM comes in, far below what overflows when squared.
constexpr float kMaxSample = 1e9F;

std::filesystem::path weights_file(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path;
  std::optional<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() != ".safetensors") continue;
    if (found) {
      fail(ErrorCode::kModelNotFound, path.string(),
           " holds several .safetensors files: name the detector's file itself");
    }
    found = entry.path();
  }
  if (!found) fail(ErrorCode::kModelNotFound, path.string(), " holds no .safetensors file");
  return *found;
}

void check_samples(std::span<const float> pcm) {
  for (size_t i = 0; i < pcm.size(); ++i) {
    if (std::abs(pcm[i]) <= kMaxSample) continue;
    fail(ErrorCode::kInvalidArgument, "Audio sample ", i, " is ", pcm[i],
         ", which is no finite number of a usable size");
  }
}

/// Rows of three neighbouring frames, `stride` frames apart, out of `padded` ones.
template <int64_t Channels>
void gather(const float* padded, int64_t padded_frames, int64_t windows, int64_t rows,
            int64_t stride, float* out) {
  for (int64_t w = 0; w < windows; ++w) {
    for (int64_t r = 0; r < rows; ++r, out += 3 * Channels) {
      std::copy_n(padded + (w * padded_frames + r * stride) * Channels, 3 * Channels, out);
    }
  }
}

void relu(float* x, int64_t size) {
  for (int64_t i = 0; i < size; ++i) x[i] = x[i] > 0 ? x[i] : 0;
}

}  // namespace

/// Everything between two layers, for kTile windows.
struct Silero::Scratch {
  std::vector<float> audio = std::vector<float>(kContext + kTile * kWindow);
  std::vector<float> frames = std::vector<float>(kTile * kFrames * kFrame);
  std::vector<float> spectrum = std::vector<float>(kTile * kFrames * 2 * kBins);
  std::vector<float> magnitudes = std::vector<float>(kTile * kPaddedFrames * kBins);
  std::vector<float> rows = std::vector<float>(kTile * kFrames * 3 * kBins);
  std::vector<float> first = std::vector<float>(kTile * kFrames * 128);
  std::vector<float> padded = std::vector<float>(kTile * kPaddedFrames * 128);
  std::vector<float> second = std::vector<float>(kTile * 2 * 64);
  std::vector<float> third = std::vector<float>(kTile * 64);
  std::vector<float> fourth = std::vector<float>(kTile * 128);
  std::vector<float> gates = std::vector<float>(kTile * 4 * kHidden);
  std::vector<float> hidden = std::vector<float>(kTile * kHidden);
};

Silero::Layer Silero::Layer::make(const at::Tensor& weight, const at::Tensor& bias) {
  const int64_t columns = weight.size(0);
  const int64_t padding = (cpu::kBlock - columns % cpu::kBlock) % cpu::kBlock;
  return {.weight = at::constant_pad_nd(weight, {0, 0, 0, padding})
                        .view({-1, cpu::kBlock, weight.size(1)})
                        .transpose(1, 2)
                        .contiguous(),
          .bias = at::constant_pad_nd(bias, {0, padding}),
          .columns = columns};
}

void Silero::Layer::forward(const float* x, int64_t rows, float* out) const {
  cpu::kernels().linear({.x = x,
                         .weight = weight.const_data_ptr(),
                         .storage = cpu::Storage::kFloat32,
                         .bias = bias.const_data_ptr<float>(),
                         .out = out,
                         .rows = rows,
                         .inner = weight.size(1),
                         .columns = columns,
                         .epilogue = cpu::Epilogue::kNone},
                        0, weight.size(0));
}

Silero::Silero(const std::filesystem::path& path) {
  const c10::InferenceMode inference;
  Checkpoint checkpoint;
  read_safetensors(weights_file(path), checkpoint);
  const auto get = [&](const std::string& name, at::IntArrayRef shape) {
    return checkpoint.tensor(name, shape).to(at::kFloat, false, /*copy=*/true);
  };
  transform_ = Layer::make(
      get("encoder.feature_extractor.forward_basis_buffer", {2 * kBins, 1, kFrame}).squeeze(1),
      at::zeros({2 * kBins}));
  const auto convolution = [&](int64_t index, int64_t out, int64_t in, int64_t first_tap,
                               int64_t taps) {
    const std::string name = "encoder.conv_layers." + std::to_string(index);
    return Layer::make(get(name + ".weight", {out, in, 3})
                           .narrow(2, first_tap, taps)
                           .transpose(1, 2)
                           .reshape({out, taps * in}),
                       get(name + ".bias", {out}));
  };
  // Of 4 frames the second convolution leaves 2, the third 1: there the taps that see nothing but
  // the padding are left out.
  convolutions_ = {convolution(0, 128, kBins, 0, 3), convolution(1, 64, 128, 0, 3),
                   convolution(2, 64, 64, 1, 2), convolution(3, 128, 64, 1, 1)};
  const at::Tensor biases = get("onnx::LSTM_211", {1, 8 * kHidden}).view({2, 4 * kHidden});
  input_ = Layer::make(get("onnx::LSTM_209", {1, 4 * kHidden, kHidden}).squeeze(0), biases.sum(0));
  recurrent_ = get("onnx::LSTM_210", {1, 4 * kHidden, kHidden})
                   .view({4, kHidden / cpu::kBlock, cpu::kBlock, kHidden})
                   .permute({1, 3, 0, 2})
                   .contiguous();
  readout_ = get("decoder.conv1d.weight", {1, kHidden, 1}).view({kHidden});
  readout_bias_ = get("decoder.conv1d.bias", {1}).item<float>();
}

std::vector<float> Silero::push(SileroState& state, std::span<const float> pcm,
                                const Cancellation& cancellation) const {
  check_samples(pcm);
  SileroState next = state;
  const auto total = static_cast<int64_t>(next.rest.size() + pcm.size()) / kWindow;
  std::vector<float> out(static_cast<size_t>(total));
  if (total > 0) {
    Scratch scratch;
    for (int64_t done = 0; done < total;) {
      cancellation.check();
      const int64_t windows = std::min(kTile, total - done);
      const auto fresh = static_cast<size_t>(windows * kWindow) - next.rest.size();
      float* audio = std::copy(next.context.begin(), next.context.end(), scratch.audio.data());
      audio = std::copy(next.rest.begin(), next.rest.end(), audio);
      std::copy_n(pcm.data(), fresh, audio);
      pcm = pcm.subspan(fresh);
      next.rest.clear();
      run(next, windows, scratch, out.data() + done);
      done += windows;
    }
  }
  next.rest.insert(next.rest.end(), pcm.begin(), pcm.end());
  state = std::move(next);
  return out;
}

std::vector<float> Silero::finish(SileroState& state, const Cancellation& cancellation) const {
  if (state.rest.empty()) return {};
  const std::vector<float> silence(static_cast<size_t>(kWindow) - state.rest.size());
  return push(state, silence, cancellation);
}

void Silero::run(SileroState& state, int64_t windows, Scratch& scratch, float* out) const {
  const cpu::Kernels& kernels = cpu::kernels();
  const float* audio = scratch.audio.data();
  for (int64_t w = 0; w < windows; ++w) {
    std::array<float, kSignal> signal;
    constexpr int64_t heard = kContext + kWindow;
    std::copy_n(audio + w * kWindow, heard, signal.begin());
    for (int64_t i = 0; i < kReflected; ++i) {
      signal[static_cast<size_t>(heard + i)] = signal[static_cast<size_t>(heard - 2 - i)];
    }
    for (int64_t f = 0; f < kFrames; ++f) {
      std::copy_n(signal.data() + f * kHop, kFrame,
                  scratch.frames.data() + (w * kFrames + f) * kFrame);
    }
  }
  transform_.forward(scratch.frames.data(), windows * kFrames, scratch.spectrum.data());
  // The frames of zeros at both ends of a window are never written.
  for (int64_t w = 0; w < windows; ++w) {
    for (int64_t f = 0; f < kFrames; ++f) {
      const float* real = scratch.spectrum.data() + (w * kFrames + f) * 2 * kBins;
      kernels.magnitude(real, real + kBins,
                        scratch.magnitudes.data() + (w * kPaddedFrames + f + 1) * kBins, kBins);
    }
  }
  gather<kBins>(scratch.magnitudes.data(), kPaddedFrames, windows, kFrames, 1, scratch.rows.data());
  convolutions_[0].forward(scratch.rows.data(), windows * kFrames, scratch.first.data());
  relu(scratch.first.data(), windows * kFrames * 128);
  for (int64_t w = 0; w < windows; ++w) {
    std::copy_n(scratch.first.data() + w * kFrames * 128, kFrames * 128,
                scratch.padded.data() + (w * kPaddedFrames + 1) * 128);
  }
  gather<128>(scratch.padded.data(), kPaddedFrames, windows, 2, 2, scratch.rows.data());
  convolutions_[1].forward(scratch.rows.data(), windows * 2, scratch.second.data());
  relu(scratch.second.data(), windows * 2 * 64);
  convolutions_[2].forward(scratch.second.data(), windows, scratch.third.data());
  relu(scratch.third.data(), windows * 64);
  convolutions_[3].forward(scratch.third.data(), windows, scratch.fourth.data());
  relu(scratch.fourth.data(), windows * 128);
  input_.forward(scratch.fourth.data(), windows, scratch.gates.data());
  kernels.lstm({.gates = scratch.gates.data(),
                .weight = recurrent_.const_data_ptr<float>(),
                .hidden = state.hidden.data(),
                .cell = state.cell.data(),
                .out = scratch.hidden.data(),
                .steps = windows,
                .size = kHidden});
  const float* weight = readout_.const_data_ptr<float>();
  for (int64_t w = 0; w < windows; ++w) {
    const float* hidden = scratch.hidden.data() + w * kHidden;
    float sum = readout_bias_;
    for (int64_t i = 0; i < kHidden; ++i) sum += std::max(hidden[i], 0.0F) * weight[i];
    out[w] = 1 / (1 + std::exp(-sum));
  }
  std::copy_n(scratch.hidden.data() + (windows - 1) * kHidden, kHidden, state.hidden.begin());
  std::copy_n(audio + windows * kWindow, kContext, state.context.begin());
}

}  // namespace voxpod::vad
