#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/cancellation.h"

namespace voxpod::vad {

inline constexpr int64_t kRate = 16000;
/// Samples that one probability stands for: 32 ms.
inline constexpr int64_t kWindow = 512;
/// Samples before a window that the network sees beside it.
inline constexpr int64_t kContext = 64;
inline constexpr int64_t kHidden = 128;

/// What the detector remembers of a recording between two pieces of it.
struct SileroState {
  std::array<float, kContext> context = {};
  std::array<float, kHidden> hidden = {};
  std::array<float, kHidden> cell = {};
  std::vector<float> rest = {};  ///< samples that do not fill a window yet
};

/// Silero's voice activity detector, version 6, for 16 kHz: a short-time Fourier transform, four
/// convolutions and an LSTM make one probability of speech for each window of 512 samples
/// (github.com/snakers4/silero-vad, src/silero_vad/tinygrad_model.py). All in float32, every window
/// alone, so that however a recording is cut into pieces its probabilities are the same bits.
class Silero {
 public:
  /// Reads a safetensors file, or the only one in a folder, with the tensors of the ONNX graph.
  /// Throws kModelNotFound, kModelInvalid, kCheckpointCorrupt, kModelUnsupported.
  explicit Silero(const std::filesystem::path& path);

  /// Probabilities of the windows that `pcm` completes. On an error (kInvalidArgument for a sample
  /// that is not finite or beyond any scale, kCancelled) `state` is what it was.
  std::vector<float> push(SileroState& state, std::span<const float> pcm,
                          const Cancellation& cancellation) const;
  /// The probability of what is left, padded with zeros to a window; nothing where nothing is left.
  std::vector<float> finish(SileroState& state, const Cancellation& cancellation) const;

 private:
  /// out[rows, columns] = x[rows, inner] * weight^T + bias.
  struct Layer {
    at::Tensor weight;  ///< packed [columns / 32, inner, 32], zero-padded
    at::Tensor bias;    ///< [columns rounded up to 32]
    int64_t columns = 0;

    static Layer make(const at::Tensor& weight, const at::Tensor& bias);
    void forward(const float* x, int64_t rows, float* out) const;
  };
  struct Scratch;

  void run(SileroState& state, int64_t windows, Scratch& scratch, float* out) const;

  Layer transform_;
  std::array<Layer, 4> convolutions_;
  Layer input_;           ///< of the LSTM
  at::Tensor recurrent_;  ///< packed as cpu::LstmArgs::weight
  at::Tensor readout_;    ///< [kHidden]
  float readout_bias_ = 0;
};

}  // namespace voxpod::vad
