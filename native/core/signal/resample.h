#pragma once

#include <span>
#include <vector>

#include "engine/cancellation.h"

namespace voxpod {

/// Band-limited resampling of mono PCM between two rates in hertz: a sinc of six zero crossings
/// under a Hann window, rolled off at 0.99 of the lower Nyquist frequency, which is torchaudio's
/// default (torchaudio/functional/functional.py, resample). Returns ceil(samples * to / from)
/// samples. Throws kInvalidArgument for rates outside 1 Hz to 768 kHz.
std::vector<float> resample(std::span<const float> pcm, int64_t from, int64_t to,
                            const Cancellation& cancellation);

}  // namespace voxpod
