#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>

#include "engine/cancellation.h"
#include "nn/placement.h"

namespace voxpod {

inline constexpr int64_t kVocoderRate = 24000;  ///< hertz
inline constexpr int64_t kVocoderHop = 256;     ///< samples of a frame
inline constexpr int64_t kVocoderMels = 100;

/// Speech to mel spectrogram and back, in float32. Tensors may lie anywhere; what comes back lies
/// on the CPU. One object may serve several threads.
class Vocoder {
 public:
  virtual ~Vocoder() = default;

  /// "vocos" or "bigvgan". Their mels are not interchangeable.
  virtual const char* name() const = 0;
  /// `pcm` [samples] of mono 24 kHz to the log-mel [frames, kVocoderMels] that the vocoder was
  /// trained on: samples / kVocoderHop frames, and one more by Vocos. Throws kInvalidArgument for
  /// samples that are not finite, or fewer than the reflection at the ends needs.
  virtual at::Tensor mel(const at::Tensor& pcm) const = 0;
  /// `mel` [frames, kVocoderMels] to [samples]: (frames - 1) * kVocoderHop by Vocos, frames *
  /// kVocoderHop by BigVGAN. Throws kInvalidArgument for another shape, no frames or values that
  /// are not finite.
  virtual at::Tensor decode(const at::Tensor& mel, const Cancellation& cancellation) const = 0;
  virtual int64_t weight_bytes() const = 0;
};

/// Loads Vocos (pytorch_model.bin) or BigVGAN (bigvgan_generator.pt with config.json beside it), in
/// either format that open_checkpoint_file() reads; which of them it is the tensors' names tell.
/// Throws kModelInvalid where they are neither's, have other shapes or hold NaN or infinities, and
/// what open_checkpoint_file() throws. Of the placement only the device counts.
std::unique_ptr<Vocoder> load_vocoder(const std::filesystem::path& file,
                                      const Placement& placement);

}  // namespace voxpod
