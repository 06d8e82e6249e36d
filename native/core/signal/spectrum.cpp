#include "signal/spectrum.h"

#include <ATen/ops/fft_rfft.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace voxpod {
namespace {

// Slaney's scale: linear below 1 kHz, logarithmic above (librosa, convert.py, hz_to_mel).
constexpr double kLinearStep = 200.0 / 3;
constexpr double kLogStart = 1000.0;
const double kLogStep = std::log(6.4) / 27;

// HTK's (torchaudio/functional/functional.py, _hz_to_mel).
constexpr double kHtkFactor = 2595;
constexpr double kHtkCorner = 700;

double mel_to_hertz(MelScale scale, double mel) {
  if (scale == MelScale::kHtk) return kHtkCorner * (std::pow(10, mel / kHtkFactor) - 1);
  const double start = kLogStart / kLinearStep;
  return mel < start ? mel * kLinearStep : kLogStart * std::exp(kLogStep * (mel - start));
}

double hertz_to_mel(MelScale scale, double hertz) {
  if (scale == MelScale::kHtk) return kHtkFactor * std::log10(1 + hertz / kHtkCorner);
  return hertz < kLogStart ? hertz / kLinearStep
                           : kLogStart / kLinearStep + std::log(hertz / kLogStart) / kLogStep;
}

}  // namespace

at::Tensor spectrum(const at::Tensor& samples, const at::Tensor& window, int64_t hop) {
  const int64_t size = window.size(0);
  const int64_t frames = (samples.size(0) - size) / hop + 1;
  return at::fft_rfft(samples.as_strided({frames, size}, {hop, 1}).mul(window));
}

at::Tensor mel_filters(MelScale scale, int64_t rate, int64_t transform, int64_t mels) {
  std::vector<double> edges(static_cast<size_t>(mels) + 2);
  const double top = hertz_to_mel(scale, static_cast<double>(rate) / 2);
  for (size_t i = 0; i < edges.size(); ++i) {
    edges[i] = mel_to_hertz(scale, top * static_cast<double>(i) / static_cast<double>(mels + 1));
  }
  const int64_t bins = transform / 2 + 1;
  at::Tensor filters = at::zeros({mels, bins}, at::kFloat);
  auto out = filters.accessor<float, 2>();
  for (int64_t m = 0; m < mels; ++m) {
    const auto i = static_cast<size_t>(m);
    const double norm = scale == MelScale::kSlaney ? 2 / (edges[i + 2] - edges[i]) : 1;
    for (int64_t bin = 0; bin < bins; ++bin) {
      const double hertz = static_cast<double>(bin * rate) / static_cast<double>(transform);
      const double up = (hertz - edges[i]) / (edges[i + 1] - edges[i]);
      const double down = (edges[i + 2] - hertz) / (edges[i + 2] - edges[i + 1]);
      out[m][bin] = static_cast<float>(norm * std::max(0.0, std::min(up, down)));
    }
  }
  return filters;
}

}  // namespace voxpod
