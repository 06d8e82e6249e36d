// Features that come in blocks: the cuts, the maximum, what is kept. Their values are held against
// the reference's in whisper_parity_test.
#include "signal/log_mel.h"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <cmath>

#include "check.h"

namespace {

using namespace voxpod;

constexpr int64_t kMels = 80;
const Cancellation never;

/// Noise of a fixed seed whose loudness comes and goes.
std::vector<float> noise(size_t samples, float loudness = 0.1F) {
  std::vector<float> out(samples);
  uint32_t state = 1;
  for (size_t i = 0; i < samples; ++i) {
    state = state * 1664525 + 1013904223;
    const auto swell = static_cast<float>(1 + std::sin(static_cast<double>(i) / 5000));
    out[i] = (static_cast<float>(state) / 2147483648.0F - 1) * loudness * swell;
  }
  return out;
}

/// Pushes in blocks of the given lengths, over and over; without the end.
void push(LogMelStream& stream, std::span<const float> pcm, const std::vector<size_t>& lengths) {
  for (size_t at = 0, i = 0; at < pcm.size(); ++i) {
    const size_t length = std::min(lengths[i % lengths.size()], pcm.size() - at);
    stream.push(pcm.subspan(at, length), never);
    at += length;
  }
}

}  // namespace

TEST(log_mel_test, "blocks of any length give the same to the bit") {
  // Shorter than a window, at and around a block's edge, several blocks.
  const size_t edge = (LogMelStream::kBlockFrames - 1) * kWhisperHop + 200;
  for (const size_t samples : {size_t{1}, size_t{160}, size_t{399}, edge - 1, edge, edge + 1,
                               size_t{1024 * 160}, size_t{500'000}}) {
    const auto pcm = noise(samples);
    const at::Tensor whole = log_mel(pcm, kMels, never);
    EXPECT_EQUAL(whole.size(1), static_cast<int64_t>(samples) / kWhisperHop);
    if (whole.size(1) == 0) continue;
    for (const std::vector<size_t>& lengths :
         {std::vector<size_t>{1}, {7, 160, 3}, {4096}, {163'839, 1, 80}}) {
      if (lengths[0] == 1 && samples > 200'000) continue;
      LogMelStream stream(kMels);
      push(stream, pcm, lengths);
      EXPECT_EQUAL(stream.finish(never), whole.size(1));
      EXPECT(at::equal(stream.window(0, whole.size(1)), whole));
      const int64_t middle = whole.size(1) / 2;
      EXPECT(at::equal(stream.window(middle, 1), whole.narrow(1, middle, 1)));
    }
  }
}

TEST(log_mel_test, "behind the end there is silence, as if the audio had been padded with it") {
  auto pcm = noise(30'000);
  LogMelStream stream(kMels);
  stream.push(pcm, never);
  EXPECT_EQUAL(stream.finish(never), 187);
  pcm.resize(480'000, 0.0F);
  const at::Tensor padded = log_mel(pcm, kMels, never);
  EXPECT_LESS(stream.window(0, 3000).sub(padded).abs().max().item<float>(), 1e-6);
}

TEST(log_mel_test, "features depend on the place, not on how far the stream has come") {
  const int64_t ahead = LogMelStream::kLookahead;
  auto pcm = noise(static_cast<size_t>(ahead + 9000) * kWhisperHop, 0.01F);
  // The loudest of all comes late: the first windows do not hear of it.
  const int64_t loud = ahead + 3000;
  pcm[static_cast<size_t>(loud * kWhisperHop)] = 50;
  LogMelStream stream(kMels);
  const std::span<const float> all = pcm;
  const auto before = static_cast<size_t>(ahead + 1023) * kWhisperHop;
  push(stream, all.first(before), {100'000});
  const at::Tensor early = stream.window(100, 3000);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.window(2000, 3000));
  push(stream, all.subspan(before), {100'000});
  stream.finish(never);
  EXPECT(at::equal(stream.window(100, 3000), early));
  // From here on it is ahead, and quiet frames are lifted to 8 below it.
  const at::Tensor late = stream.window(3000, 3000);
  EXPECT_LESS(early.min().item<float>(), late.min().item<float>());
  const float peak = stream.window(loud - 5, 10).max().item<float>();
  EXPECT_LESS(std::abs(late.min().item<float>() - (peak - 2)), 1e-6);
}

TEST(log_mel_test, "what was dropped is gone, before it came and after") {
  const auto pcm = noise(30 * kWhisperRate * 4);
  LogMelStream stream(kMels);
  stream.drop_before(2000);
  push(stream, pcm, {70'000});
  EXPECT_EQUAL(stream.finish(never), 12'000);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.window(1000, 3000));
  const at::Tensor whole = log_mel(pcm, kMels, never);
  EXPECT(at::equal(stream.window(2000, 3000), whole.narrow(1, 2000, 3000)));
  stream.drop_before(11'999);
  stream.drop_before(0);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.window(9000, 3000));
  EXPECT(at::equal(stream.window(11'999, 1), whole.narrow(1, 11'999, 1)));
}

TEST(log_mel_test, "wrong samples, places and order are refused, and the stream goes on") {
  const auto pcm = noise(480'000);
  LogMelStream stream(kMels);
  stream.push(std::span(pcm).first(1000), never);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> wrong(500, 0.0F);
    wrong[499] = bad;
    EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.push(wrong, never));
  }
  Cancellation cancelled;
  cancelled.cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, stream.push(std::span(pcm).subspan(1000), cancelled));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.check(0, 3000));
  EXPECT_EQUAL(stream.push({}, never), 2 * LogMelStream::kBlockFrames);
  EXPECT_EQUAL(stream.finish(never), 3000);
  EXPECT(at::equal(stream.window(0, 3000), log_mel(pcm, kMels, never)));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.push(pcm, never));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.check(-1, 10));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.check(3000, 1));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, stream.check(0, 0));
}
