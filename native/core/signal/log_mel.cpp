#include "signal/log_mel.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/fft_rfft.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

namespace voxpod {
namespace {

constexpr int64_t kWindow = 400;
constexpr int64_t kBins = kWindow / 2 + 1;
constexpr int64_t kBlockFrames = 1024;

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

/// Sample `i` of the recording reflected at its start and followed by silence.
float sample(std::span<const float> pcm, int64_t i) {
  i = std::abs(i);
  return i < static_cast<int64_t>(pcm.size()) ? pcm[static_cast<size_t>(i)] : 0.0F;
}

void check_finite(std::span<const float> pcm) {
  for (size_t i = 0; i < pcm.size(); ++i) {
    if (!std::isfinite(pcm[i])) {
      fail(ErrorCode::kInvalidArgument, "Audio sample ", i, " is not a finite number");
    }
  }
}

}  // namespace

at::Tensor mel_filters(int64_t mels) {
  std::vector<double> edges(static_cast<size_t>(mels) + 2);
  const double top = hertz_to_mel(kWhisperRate / 2.0);
  for (size_t i = 0; i < edges.size(); ++i) {
    edges[i] = mel_to_hertz(top * static_cast<double>(i) / static_cast<double>(mels + 1));
  }
  at::Tensor filters = at::zeros({mels, kBins}, at::kFloat);
  auto out = filters.accessor<float, 2>();
  for (int64_t m = 0; m < mels; ++m) {
    const auto i = static_cast<size_t>(m);
    const double norm = 2 / (edges[i + 2] - edges[i]);
    for (int64_t bin = 0; bin < kBins; ++bin) {
      const double hertz = static_cast<double>(bin * kWhisperRate) / kWindow;
      const double up = (hertz - edges[i]) / (edges[i + 1] - edges[i]);
      const double down = (edges[i + 2] - hertz) / (edges[i + 2] - edges[i + 1]);
      out[m][bin] = static_cast<float>(norm * std::max(0.0, std::min(up, down)));
    }
  }
  return filters;
}

at::Tensor log_mel(std::span<const float> pcm, int64_t mels, const Cancellation& cancellation) {
  check_finite(pcm);
  const auto samples = static_cast<int64_t>(pcm.size());
  const int64_t frames = samples / kWhisperHop;
  // The reference pads 30 s of silence before it takes the maximum: the frames that still reach
  // into the recording count, and silence has the floor of 1e-10.
  const int64_t reaching = (samples + kWindow / 2) / kWhisperHop + 1;
  const at::Tensor window = at::hann_window(kWindow, at::kFloat);
  const at::Tensor filters = mel_filters(mels);
  at::Tensor out = at::empty({mels, frames}, at::kFloat);
  at::Tensor block = at::empty({(kBlockFrames - 1) * kWhisperHop + kWindow}, at::kFloat);
  float top = -10;  // log10(1e-10)
  for (int64_t first = 0; first < reaching; first += kBlockFrames) {
    cancellation.check();
    const int64_t count = std::min(kBlockFrames, reaching - first);
    const int64_t length = (count - 1) * kWhisperHop + kWindow;
    const int64_t begin = first * kWhisperHop - kWindow / 2;
    float* to = block.data_ptr<float>();
    if (begin >= 0 && begin + length <= samples) {
      std::copy_n(pcm.begin() + begin, length, to);
    } else {
      for (int64_t i = 0; i < length; ++i) to[i] = sample(pcm, begin + i);
    }
    const at::Tensor framed = block.as_strided({count, kWindow}, {kWhisperHop, 1}).mul(window);
    const at::Tensor spectrum = at::fft_rfft(framed);
    const at::Tensor power = spectrum.abs().square_();
    const at::Tensor mel = at::matmul(filters, power.t()).clamp_min_(1e-10).log10_();
    top = std::max(top, mel.max().item<float>());
    const int64_t kept = std::min(count, frames - first);
    if (kept > 0) out.narrow(1, first, kept).copy_(mel.narrow(1, 0, kept));
  }
  return out.clamp_min_(top - 8).add_(4).div_(4);
}

}  // namespace voxpod
