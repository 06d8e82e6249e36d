#pragma once

#include <ATen/core/Tensor.h>

namespace voxpod {

/// The short-time Fourier transform of `samples` [count], float32: complex [frames, window / 2 +
/// 1], a frame every `hop` samples as long as `window` [size] fits.
at::Tensor spectrum(const at::Tensor& samples, const at::Tensor& window, int64_t hop);

enum class MelScale {
  kSlaney,  ///< linear below 1 kHz, filters of equal area: librosa.filters.mel's defaults
  kHtk,     ///< logarithmic, filters of equal height: torchaudio.transforms.MelScale's defaults
};

/// Triangular filters from 0 Hz to rate / 2 over the `transform` / 2 + 1 frequencies of a Fourier
/// transform of `transform` samples: [mels, frequencies].
at::Tensor mel_filters(MelScale scale, int64_t rate, int64_t transform, int64_t mels);

}  // namespace voxpod
