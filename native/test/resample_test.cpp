#include "signal/resample.h"

#include <cmath>
#include <numbers>

#include "check.h"

namespace {

using namespace voxpod;

std::vector<float> sine(double hertz, int64_t rate, double seconds) {
  std::vector<float> out(static_cast<size_t>(seconds * static_cast<double>(rate)));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(std::sin(2 * std::numbers::pi * hertz * static_cast<double>(i) /
                                         static_cast<double>(rate)));
  }
  return out;
}

double peak_difference(const std::vector<float>& a, const std::vector<float>& b, size_t edge) {
  double peak = 0;
  for (size_t i = edge; i + edge < std::min(a.size(), b.size()); ++i) {
    peak = std::max<double>(peak, std::abs(a[i] - b[i]));
  }
  return peak;
}

}  // namespace

TEST(resample_test, "a tone below both Nyquist frequencies stays what it was") {
  const Cancellation never;
  for (const int64_t from : {8000, 11025, 22050, 24000, 44100, 48000, 96000, 44101}) {
    const auto out = resample(sine(440, from, 1), from, 16000, never);
    EXPECT_EQUAL(out.size(), size_t{16000});
    EXPECT_LESS(peak_difference(out, sine(440, 16000, 1), 200), 5e-3);
  }
}

TEST(resample_test, "a tone above the new Nyquist frequency vanishes") {
  const auto out = resample(sine(12000, 48000, 1), 48000, 16000, Cancellation());
  double peak = 0;
  for (size_t i = 200; i + 200 < out.size(); ++i) peak = std::max<double>(peak, std::abs(out[i]));
  EXPECT_LESS(peak, 2e-2);
}

TEST(resample_test, "lengths, empty input, rates out of range") {
  const Cancellation never;
  EXPECT_EQUAL(resample(std::vector<float>(441), 44100, 16000, never).size(), size_t{160});
  EXPECT_EQUAL(resample(std::vector<float>(1), 44100, 16000, never).size(), size_t{1});
  EXPECT_EQUAL(resample({}, 44100, 16000, never).size(), size_t{0});
  EXPECT_ERROR(ErrorCode::kInvalidArgument, resample({}, 0, 16000, never));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, resample({}, 16000, 1'000'000, never));
}

TEST(resample_test, "blocks of any length give the same to the bit") {
  const Cancellation never;
  for (const int64_t from : {8000, 11025, 44100, 48000, 44101, 16001}) {
    const auto whole = sine(440, from, 0.7);
    const auto expected = resample(whole, from, 16000, never);
    for (const size_t block : {size_t{1}, size_t{7}, size_t{1000}, size_t{4097}}) {
      Resampler resampler(from, 16000);
      std::vector<float> out;
      const auto take = [&](const std::vector<float>& made) {
        out.insert(out.end(), made.begin(), made.end());
      };
      for (size_t at = 0; at < whole.size(); at += block) {
        take(resampler.push({whole.data() + at, std::min(block, whole.size() - at)}, never));
        take(resampler.push({}, never));
      }
      take(resampler.finish(never));
      EXPECT(out == expected);
    }
  }
}

TEST(resample_test, "a block whose resampling was cancelled is not lost") {
  const Cancellation never;
  const auto whole = sine(440, 48000, 3);
  Resampler resampler(48000, 16000);
  Cancellation cancelled;
  cancelled.cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, resampler.push(whole, cancelled));
  std::vector<float> out = resampler.push({}, never);
  EXPECT_LESS(47900, out.size());
  const auto rest = resampler.finish(never);
  out.insert(out.end(), rest.begin(), rest.end());
  EXPECT(out == resample(whole, 48000, 16000, never));
}
