#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "engine/cancellation.h"

namespace voxpod {

inline constexpr int64_t kWhisperRate = 16000;  ///< hertz
inline constexpr int64_t kWhisperHop = 160;     ///< samples of a frame: 10 ms

/// Whisper's features of a whole recording: [mels, frames] float32 with frames = samples / 160.
/// As openai-whisper computes them (whisper/audio.py): STFT of 400 samples, Hann, centred with
/// reflection, Slaney mel filters from 0 to 8 kHz, log10, clamped to 8 below the recording's
/// maximum, then (x + 4) / 4. Works in blocks: beside the result it holds a few megabytes.
/// Throws kInvalidArgument for a sample that is NaN or infinite.
at::Tensor log_mel(std::span<const float> pcm, int64_t mels, const Cancellation& cancellation);

/// Slaney's mel filters with area normalisation, as librosa.filters.mel: [mels, 201].
at::Tensor mel_filters(int64_t mels);

}  // namespace voxpod
