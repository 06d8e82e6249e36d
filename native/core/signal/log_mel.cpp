#include "signal/log_mel.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/matmul.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>

#include "signal/spectrum.h"

namespace voxpod {
namespace {

constexpr int64_t kWindow = 400;

/// `place` is that of the first sample.
void check_finite(std::span<const float> pcm, int64_t place) {
  for (size_t i = 0; i < pcm.size(); ++i) {
    if (!std::isfinite(pcm[i])) {
      fail(ErrorCode::kInvalidArgument, "Audio sample ", place + static_cast<int64_t>(i),
           " is not a finite number");
    }
  }
}

}  // namespace

LogMelStream::LogMelStream(int64_t mels) : mels_(mels) {
  const c10::InferenceMode inference;
  hann_ = at::hann_window(kWindow, at::kFloat);
  filters_ = slaney_filters(kWhisperRate, kWindow, mels);
  silence_ = at::full({1}, 1e-10, at::kFloat).log10_().item<float>();
}

int64_t LogMelStream::push(std::span<const float> pcm, const Cancellation& cancellation) {
  if (finished_) fail(ErrorCode::kInvalidArgument, "Samples came after the recording's end");
  check_finite(pcm, samples_);
  held_.insert(held_.end(), pcm.begin(), pcm.end());
  samples_ += static_cast<int64_t>(pcm.size());
  // The last frame of a block reaches half a window further than its place.
  const auto is_complete = [&] {
    return (computed_ + kBlockFrames - 1) * kWhisperHop + kWindow / 2 <= samples_;
  };
  while (is_complete()) {
    cancellation.check();
    compute(kBlockFrames);
  }
  return computed_;
}

int64_t LogMelStream::finish(const Cancellation& cancellation) {
  // The reference pads 30 s of silence before it takes the maximum: the frames that still reach
  // into the recording count.
  const int64_t reaching = (samples_ + kWindow / 2) / kWhisperHop + 1;
  while (computed_ < reaching) {
    cancellation.check();
    compute(std::min(kBlockFrames, reaching - computed_));
  }
  held_.clear();
  held_.shrink_to_fit();
  const std::lock_guard lock(mutex_);
  finished_ = true;
  frames_ = samples_ / kWhisperHop;
  return frames_;
}

/// Sample `i` of the recording reflected at its start and followed by silence.
float LogMelStream::sample(int64_t i) const {
  i = std::abs(i) - held_from_;
  return i < static_cast<int64_t>(held_.size()) ? held_[static_cast<size_t>(i)] : 0.0F;
}

/// The next `count` frames.
void LogMelStream::compute(int64_t count) {
  const int64_t length = (count - 1) * kWhisperHop + kWindow;
  const int64_t begin = computed_ * kWhisperHop - kWindow / 2;
  at::Tensor padded = at::empty({length}, at::kFloat);
  float* to = padded.data_ptr<float>();
  if (begin >= 0 && begin + length <= samples_) {
    std::copy_n(held_.begin() + (begin - held_from_), length, to);
  } else {
    for (int64_t i = 0; i < length; ++i) to[i] = sample(begin + i);
  }
  const at::Tensor power = spectrum(padded, hann_, kWhisperHop).abs().square_();
  const at::Tensor mel = at::matmul(filters_, power.t()).clamp_min_(1e-10).log10_();
  const float peak = mel.max().item<float>();
  computed_ += count;
  const int64_t needed = std::clamp(computed_ * kWhisperHop - kWindow / 2, held_from_, samples_);
  held_.erase(held_.begin(), held_.begin() + (needed - held_from_));
  held_from_ = needed;

  const std::lock_guard lock(mutex_);
  blocks_.push_back(mel);
  peaks_.push_back(std::max(peaks_.empty() ? silence_ : peaks_.back(), peak));
  frames_ = computed_;
  drop_locked();
}

void LogMelStream::drop_before(int64_t frame) {
  const std::lock_guard lock(mutex_);
  dropped_ = std::max(dropped_, frame);
  drop_locked();
}

void LogMelStream::drop_locked() {
  while (!blocks_.empty() && (first_block_ + 1) * kBlockFrames <= dropped_) {
    blocks_.pop_front();
    ++first_block_;
  }
}

void LogMelStream::check(int64_t start, int64_t frames) const {
  if (frames < 1) fail(ErrorCode::kInvalidArgument, "A window has one frame at least");
  const std::lock_guard lock(mutex_);
  check_locked(start);
}

void LogMelStream::check_locked(int64_t start) const {
  if (start < 0 || (finished_ && start >= frames_)) {
    fail(ErrorCode::kInvalidArgument, "Frame ", start, " is outside of a recording of ", frames_);
  }
  if (start < first_block_ * kBlockFrames) {
    fail(ErrorCode::kInvalidArgument, "Frame ", start, " was dropped");
  }
  if (!finished_ && start + kLookahead > frames_) {
    fail(ErrorCode::kInvalidArgument, "Frames from ", start, " need the recording up to frame ",
         start + kLookahead, " or its end, and it came to ", frames_);
  }
}

at::Tensor LogMelStream::window(int64_t start, int64_t frames) const {
  at::Tensor out = at::full({mels_, frames}, silence_, at::kFloat);
  std::vector<at::Tensor> blocks;
  int64_t first = start / kBlockFrames;
  float peak = silence_;
  {
    const std::lock_guard lock(mutex_);
    check_locked(start);
    const auto kept = static_cast<int64_t>(blocks_.size()) + first_block_;
    for (int64_t i = first; i < kept && i * kBlockFrames < start + frames; ++i) {
      blocks.push_back(blocks_[static_cast<size_t>(i - first_block_)]);
    }
    const int64_t seen = (start + kLookahead + kBlockFrames - 1) / kBlockFrames;
    peak = peaks_[static_cast<size_t>(std::min<int64_t>(seen, std::ssize(peaks_)) - 1)];
  }
  for (const at::Tensor& block : blocks) {
    const int64_t from = std::max(start, first * kBlockFrames);
    const int64_t to = std::min(start + frames, first * kBlockFrames + block.size(1));
    if (to > from) {
      out.narrow(1, from - start, to - from)
          .copy_(block.narrow(1, from - first * kBlockFrames, to - from));
    }
    ++first;
  }
  return out.clamp_min_(peak - 8).add_(4).div_(4);
}

at::Tensor log_mel(std::span<const float> pcm, int64_t mels, const Cancellation& cancellation) {
  LogMelStream stream(mels);
  stream.push(pcm, cancellation);
  const int64_t frames = stream.finish(cancellation);
  return frames == 0 ? at::empty({mels, 0}, at::kFloat) : stream.window(0, frames);
}

}  // namespace voxpod
