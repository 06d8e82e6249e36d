#pragma once

#include <ATen/core/Tensor.h>

namespace voxpod {

/// The short-time Fourier transform of `samples` [count], float32: complex [frames, window / 2 +
/// 1], a frame every `hop` samples as long as `window` [size] fits.
at::Tensor spectrum(const at::Tensor& samples, const at::Tensor& window, int64_t hop);

/// Triangular mel filters from 0 Hz to rate / 2 over the `transform` / 2 + 1 frequencies of a
/// Fourier transform of `transform` samples: [mels, frequencies].
/// Slaney's scale, filters of equal area: librosa.filters.mel with its defaults.
at::Tensor slaney_filters(int64_t rate, int64_t transform, int64_t mels);
/// HTK's scale, filters of equal height: torchaudio.transforms.MelScale with its defaults
/// (torchaudio/functional/functional.py, melscale_fbanks).
at::Tensor htk_filters(int64_t rate, int64_t transform, int64_t mels);

}  // namespace voxpod
