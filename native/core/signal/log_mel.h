#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <mutex>
#include <span>
#include <vector>

#include "engine/cancellation.h"

namespace voxpod {

inline constexpr int64_t kWhisperRate = 16000;  ///< hertz
inline constexpr int64_t kWhisperHop = 160;     ///< samples of a frame: 10 ms

/// Whisper's features of a recording that comes in blocks, in memory that does not grow with it.
/// As openai-whisper computes them (whisper/audio.py): STFT of 400 samples, Hann, centred with
/// reflection, Slaney mel filters from 0 to 8 kHz, log10, clamped to 8 below the recording's
/// maximum, then (x + 4) / 4.
///
/// The maximum is that of everything up to `kLookahead` frames behind the start of what is asked
/// for, in whole blocks: up to 10 minutes that is the reference's, and of a longer recording the
/// features depend on the audio and the place alone, never on how far the stream has come.
///
/// Blocks are computed whole, so that the result is the same to the bit however the samples were
/// cut. One thread may push while others ask.
class LogMelStream {
 public:
  static constexpr int64_t kBlockFrames = 1024;
  static constexpr int64_t kLookahead = 60'000;  ///< frames: 10 minutes

  explicit LogMelStream(int64_t mels);

  /// Takes the next 16 kHz samples; returns the frames that are complete.
  /// Throws kInvalidArgument for a sample that is NaN or infinite, taking none, and after finish().
  int64_t push(std::span<const float> pcm, const Cancellation& cancellation);
  /// The end of the recording; returns its frames, samples / 160.
  int64_t finish(const Cancellation& cancellation);
  /// Frees the blocks that end before `frame`, now and as they come.
  void drop_before(int64_t frame);

  /// Throws kInvalidArgument unless window() can give these frames.
  void check(int64_t start, int64_t frames) const;
  /// [mels, frames] float32 from frame `start`, normalised. Frames behind the recording's end are
  /// those of silence. Throws kInvalidArgument where `start` is outside the recording or was
  /// dropped, or the recording neither has ended nor reaches `kLookahead` frames further.
  at::Tensor window(int64_t start, int64_t frames) const;

 private:
  void compute(int64_t count);
  float sample(int64_t i) const;
  void check_locked(int64_t start) const;
  void drop_locked();

  const int64_t mels_;
  at::Tensor hann_;
  at::Tensor filters_;
  float silence_ = 0;  ///< log10(1e-10), as ATen rounds it

  // Of the thread that pushes.
  std::vector<float> held_;  ///< samples that are still needed, and
  int64_t held_from_ = 0;    ///< the place of the first of them
  int64_t samples_ = 0;      ///< in all
  int64_t computed_ = 0;     ///< frames

  mutable std::mutex mutex_;
  std::deque<at::Tensor> blocks_;  ///< [mels, up to kBlockFrames], log10, not normalised
  int64_t first_block_ = 0;        ///< of those kept
  int64_t dropped_ = 0;            ///< frames before this one are not wanted
  std::vector<float> peaks_;       ///< maximum of all up to each block's end
  int64_t frames_ = 0;             ///< complete; of content alone once `finished_`
  bool finished_ = false;
};

/// The features of a whole recording: [mels, samples / 160].
at::Tensor log_mel(std::span<const float> pcm, int64_t mels, const Cancellation& cancellation);

}  // namespace voxpod
