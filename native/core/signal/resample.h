#pragma once

#include <span>
#include <vector>

#include "engine/cancellation.h"

namespace voxpod {

/// Band-limited resampling of mono PCM that comes in blocks, between two rates in hertz: a sinc of
/// six zero crossings under a Hann window, rolled off at 0.99 of the lower Nyquist frequency, which
/// is torchaudio's default (torchaudio/functional/functional.py, resample). Of `n` samples it makes
/// ceil(n * to / from), the same to the bit however they were cut into blocks.
class Resampler {
 public:
  /// Throws kInvalidArgument for rates outside 1 Hz to 768 kHz.
  Resampler(int64_t from, int64_t to);

  /// The samples that what came so far decides.
  std::vector<float> push(std::span<const float> pcm, const Cancellation& cancellation);
  /// The rest, with silence behind the last sample. Nothing may be pushed after it.
  std::vector<float> finish(const Cancellation& cancellation);

 private:
  void fill(int64_t phase, float* filter) const;
  std::vector<float> make(int64_t end, const Cancellation& cancellation);

  int64_t step_;    ///< input samples for every
  int64_t phases_;  ///< output samples
  double cutoff_;   ///< of the input's Nyquist frequency
  int64_t reach_;   ///< input samples on either side of an output sample
  bool tabulated_;  ///< whether `table_` has the filters of all phases, or room for one
  std::vector<float> table_;
  std::vector<float> held_;  ///< input samples that are still needed, and
  int64_t held_from_ = 0;    ///< the place of the first of them
  int64_t received_ = 0;     ///< input samples in all
  int64_t made_ = 0;         ///< output samples in all
};

/// The whole at once.
std::vector<float> resample(std::span<const float> pcm, int64_t from, int64_t to,
                            const Cancellation& cancellation);

}  // namespace voxpod
