#include "signal/resample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace voxpod {
namespace {

constexpr int64_t kMaxRate = 768'000;
constexpr double kZeroCrossings = 6;
constexpr double kRolloff = 0.99;
// A table of all phases is kept where it is small; odd pairs of rates compute each sample's taps.
constexpr int64_t kMaxTable = 1 << 20;

/// The filter at distance `t` (in input samples) from the output's place.
double tap(double t, double cutoff) {
  const double x = std::clamp(t * cutoff, -kZeroCrossings, kZeroCrossings);
  const double window = std::cos(x * std::numbers::pi / kZeroCrossings / 2);
  const double angle = x * std::numbers::pi;
  const double sinc = angle == 0 ? 1 : std::sin(angle) / angle;
  return sinc * window * window * cutoff;
}

}  // namespace

Resampler::Resampler(int64_t from, int64_t to) {
  if (from < 1 || from > kMaxRate || to < 1 || to > kMaxRate) {
    fail(ErrorCode::kInvalidArgument, "Sample rates must be 1 to ", kMaxRate, " Hz, not ", from,
         " and ", to);
  }
  const int64_t divisor = std::gcd(from, to);
  step_ = from / divisor;
  phases_ = to / divisor;
  cutoff_ = kRolloff * static_cast<double>(std::min(step_, phases_)) / static_cast<double>(step_);
  reach_ = static_cast<int64_t>(std::ceil(kZeroCrossings / cutoff_));
  const int64_t taps = 2 * reach_ + 1;
  tabulated_ = phases_ * taps <= kMaxTable;
  table_.resize(static_cast<size_t>((tabulated_ ? phases_ : 1) * taps));
  if (tabulated_) {
    for (int64_t phase = 0; phase < phases_; ++phase) fill(phase, table_.data() + phase * taps);
  }
}

/// Output n lies at input n * step / phases = whole + fraction; tap k is input whole - reach + k.
void Resampler::fill(int64_t phase, float* filter) const {
  const double fraction = static_cast<double>(phase) / static_cast<double>(phases_);
  for (int64_t k = 0; k <= 2 * reach_; ++k) {
    filter[k] = static_cast<float>(tap(static_cast<double>(k - reach_) - fraction, cutoff_));
  }
}

std::vector<float> Resampler::push(std::span<const float> pcm, const Cancellation& cancellation) {
  held_.insert(held_.end(), pcm.begin(), pcm.end());
  received_ += static_cast<int64_t>(pcm.size());
  // All outputs whose last tap, whole + reach, has come.
  const int64_t wholes = std::max<int64_t>(0, received_ - reach_);
  return make((wholes * phases_ + step_ - 1) / step_, cancellation);
}

std::vector<float> Resampler::finish(const Cancellation& cancellation) {
  return make((received_ * phases_ + step_ - 1) / step_, cancellation);
}

/// The output samples from where the last call ended up to `end`.
std::vector<float> Resampler::make(int64_t end, const Cancellation& cancellation) {
  const int64_t taps = 2 * reach_ + 1;
  std::vector<float> out(static_cast<size_t>(end - made_));
  for (int64_t n = made_; n < end; ++n) {
    if (n % 65536 == 0) cancellation.check();
    const int64_t whole = n * step_ / phases_;
    const int64_t phase = n * step_ % phases_;
    if (!tabulated_) fill(phase, table_.data());
    const float* filter = table_.data() + (tabulated_ ? phase * taps : 0);
    const int64_t first = std::max<int64_t>(0, reach_ - whole);
    const int64_t last = std::min(taps, received_ - whole + reach_);
    const float* input = held_.data() + (whole - reach_ - held_from_);
    float sum = 0;
    for (int64_t k = first; k < last; ++k) sum += input[k] * filter[k];
    out[static_cast<size_t>(n - made_)] = sum;
  }
  made_ = end;
  const int64_t needed = std::clamp(end * step_ / phases_ - reach_, held_from_, received_);
  held_.erase(held_.begin(), held_.begin() + (needed - held_from_));
  held_from_ = needed;
  return out;
}

std::vector<float> resample(std::span<const float> pcm, int64_t from, int64_t to,
                            const Cancellation& cancellation) {
  Resampler resampler(from, to);
  if (from == to) return {pcm.begin(), pcm.end()};
  std::vector<float> out = resampler.push(pcm, cancellation);
  const std::vector<float> rest = resampler.finish(cancellation);
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace voxpod
