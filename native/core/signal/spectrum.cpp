#include "signal/spectrum.h"

#include <ATen/ops/fft_rfft.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/pow.h>
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

double mel_to_hertz(double mel) {
  const double start = kLogStart / kLinearStep;
  return mel < start ? mel * kLinearStep : kLogStart * std::exp(kLogStep * (mel - start));
}

double hertz_to_mel(double hertz) {
  return hertz < kLogStart ? hertz / kLinearStep
                           : kLogStart / kLinearStep + std::log(hertz / kLogStart) / kLogStep;
}

}  // namespace

at::Tensor spectrum(const at::Tensor& samples, const at::Tensor& window, int64_t hop) {
  const int64_t size = window.size(0);
  const int64_t frames = (samples.size(0) - size) / hop + 1;
  return at::fft_rfft(samples.as_strided({frames, size}, {hop, 1}).mul(window));
}

at::Tensor slaney_filters(int64_t rate, int64_t transform, int64_t mels) {
  std::vector<double> edges(static_cast<size_t>(mels) + 2);
  const double top = hertz_to_mel(static_cast<double>(rate) / 2);
  for (size_t i = 0; i < edges.size(); ++i) {
    edges[i] = mel_to_hertz(top * static_cast<double>(i) / static_cast<double>(mels + 1));
  }
  const int64_t bins = transform / 2 + 1;
  at::Tensor filters = at::zeros({mels, bins}, at::kFloat);
  auto out = filters.accessor<float, 2>();
  for (int64_t m = 0; m < mels; ++m) {
    const auto i = static_cast<size_t>(m);
    const double norm = 2 / (edges[i + 2] - edges[i]);
    for (int64_t bin = 0; bin < bins; ++bin) {
      const double hertz = static_cast<double>(bin * rate) / static_cast<double>(transform);
      const double up = (hertz - edges[i]) / (edges[i + 1] - edges[i]);
      const double down = (edges[i + 2] - hertz) / (edges[i + 2] - edges[i + 1]);
      out[m][bin] = static_cast<float>(norm * std::max(0.0, std::min(up, down)));
    }
  }
  return filters;
}

at::Tensor htk_filters(int64_t rate, int64_t transform, int64_t mels) {
  // In float32 and in this order, for the reference's very numbers.
  const double half = static_cast<double>(rate) / 2;
  const double top = 2595 * std::log10(1 + half / 700);
  const at::Tensor frequencies = at::linspace(0, half, transform / 2 + 1, at::kFloat);
  const at::Tensor points = at::linspace(0, top, mels + 2, at::kFloat).div_(2595);
  const at::Tensor edges = at::pow(at::Scalar(10), points).sub_(1).mul_(700);
  const at::Tensor widths = edges.narrow(0, 1, mels + 1).sub(edges.narrow(0, 0, mels + 1));
  const at::Tensor distances = edges.unsqueeze(1).sub(frequencies);
  const at::Tensor up =
      distances.narrow(0, 0, mels).neg().div_(widths.narrow(0, 0, mels).unsqueeze(1));
  const at::Tensor down = distances.narrow(0, 2, mels).div(widths.narrow(0, 1, mels).unsqueeze(1));
  return at::minimum(up, down).clamp_min_(0);
}

}  // namespace voxpod
