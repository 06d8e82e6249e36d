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

std::vector<float> resample(std::span<const float> pcm, int64_t from, int64_t to,
                            const Cancellation& cancellation) {
  if (from < 1 || from > kMaxRate || to < 1 || to > kMaxRate) {
    fail(ErrorCode::kInvalidArgument, "Sample rates must be 1 to ", kMaxRate, " Hz, not ", from,
         " and ", to);
  }
  if (from == to) return {pcm.begin(), pcm.end()};
  const int64_t divisor = std::gcd(from, to);
  const int64_t step = from / divisor;  // input samples for every
  const int64_t phases = to / divisor;  // output samples
  const double cutoff = kRolloff * static_cast<double>(std::min(step, phases)) /
                        static_cast<double>(step);  // of the input's Nyquist frequency
  const auto reach = static_cast<int64_t>(std::ceil(kZeroCrossings / cutoff));
  const int64_t taps = 2 * reach + 1;
  const auto samples = static_cast<int64_t>(pcm.size());
  const int64_t length = (samples * phases + step - 1) / step;

  // Output n lies at input n * step / phases = whole + fraction; tap k is input whole - reach + k.
  const auto fill = [&](int64_t phase, float* out) {
    const double fraction = static_cast<double>(phase) / static_cast<double>(phases);
    for (int64_t k = 0; k < taps; ++k) {
      out[k] = static_cast<float>(tap(static_cast<double>(k - reach) - fraction, cutoff));
    }
  };
  const bool tabulated = phases * taps <= kMaxTable;
  std::vector<float> table(static_cast<size_t>((tabulated ? phases : 1) * taps));
  if (tabulated) {
    for (int64_t phase = 0; phase < phases; ++phase) fill(phase, table.data() + phase * taps);
  }

  std::vector<float> out(static_cast<size_t>(length));
  for (int64_t n = 0; n < length; ++n) {
    if (n % 65536 == 0) cancellation.check();
    const int64_t whole = n * step / phases;
    const int64_t phase = n * step % phases;
    if (!tabulated) fill(phase, table.data());
    const float* filter = table.data() + (tabulated ? phase * taps : 0);
    const int64_t first = std::max<int64_t>(0, reach - whole);
    const int64_t last = std::min(taps, samples - whole + reach);
    const float* input = pcm.data() + whole - reach;
    float sum = 0;
    for (int64_t k = first; k < last; ++k) sum += input[k] * filter[k];
    out[static_cast<size_t>(n)] = sum;
  }
  return out;
}

}  // namespace voxpod
