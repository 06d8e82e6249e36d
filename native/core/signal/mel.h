#pragma once

#include <ATen/core/Tensor.h>

namespace voxpod {

/// The spectrograms that vocoders of 24 kHz were trained on: 1024 samples under a Hann window every
/// 256, magnitudes, 100 mel filters up to 12 kHz, natural logarithm of 1e-5 at least.
class MelSpectrogram {
 public:
  enum class Kind {
    /// Centred frames with reflection, HTK's filters (gemelo-ai/vocos,
    /// vocos/feature_extractors.py).
    kVocos,
    /// Reflected by 384 samples, Slaney's filters, 1e-9 under the root (NVIDIA/BigVGAN,
    /// meldataset.py, mel_spectrogram).
    kBigVgan,
  };

  explicit MelSpectrogram(Kind kind);

  /// `pcm` [samples] to [frames, 100] float32 on the CPU: samples / 256 frames, and one more of
  /// kVocos. Throws kInvalidArgument for samples that are not finite or fewer than the reflection
  /// needs: 513 of kVocos, 385 of kBigVgan.
  at::Tensor forward(const at::Tensor& pcm) const;

 private:
  Kind kind_;
  int64_t padding_;
  at::Tensor window_;
  at::Tensor filters_;  ///< [frequencies, mels]
};

}  // namespace voxpod
