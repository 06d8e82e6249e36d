#include "signal/mel.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/reflection_pad1d.h>
#include <ATen/ops/view_as_real.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <vector>

#include "error.h"
#include "signal/spectrum.h"

namespace voxpod {
namespace {

constexpr int64_t kRate = 24000;
constexpr int64_t kTransform = 1024;
constexpr int64_t kHop = 256;
constexpr int64_t kMels = 100;
constexpr int64_t kBlockFrames = 2048;  // computed at once: bounds the memory

}  // namespace

MelSpectrogram::MelSpectrogram(Kind kind)
    : kind_(kind), padding_(kind == Kind::kVocos ? kTransform / 2 : (kTransform - kHop) / 2) {
  const c10::InferenceMode inference;
  const auto make = kind == Kind::kVocos ? htk_filters : slaney_filters;
  window_ = at::hann_window(kTransform, at::kFloat);
  filters_ = make(kRate, kTransform, kMels).t().contiguous();
}

at::Tensor MelSpectrogram::forward(const at::Tensor& pcm) const {
  const c10::InferenceMode inference;
  if (pcm.dim() != 1) fail(ErrorCode::kInvalidArgument, "Audio must be one channel of samples");
  if (pcm.size(0) <= padding_) {
    fail(ErrorCode::kInvalidArgument, "Audio of ", pcm.size(0),
         " samples is too short for a mel spectrogram, which needs ", padding_ + 1);
  }
  const at::Tensor samples = pcm.to(at::kCPU, at::kFloat).contiguous();
  if (!at::isfinite(samples).all().item<bool>()) {
    fail(ErrorCode::kInvalidArgument, "An audio sample is not a finite number");
  }
  const at::Tensor padded =
      at::reflection_pad1d(samples.unsqueeze(0), {padding_, padding_}).squeeze(0);
  const int64_t frames = (padded.size(0) - kTransform) / kHop + 1;
  std::vector<at::Tensor> blocks;
  for (int64_t first = 0; first < frames; first += kBlockFrames) {
    const int64_t count = std::min(kBlockFrames, frames - first);
    const at::Tensor part = padded.narrow(0, first * kHop, (count - 1) * kHop + kTransform);
    const at::Tensor complex = spectrum(part, window_, kHop);
    const at::Tensor magnitude =
        kind_ == Kind::kVocos ? complex.abs()
                              : at::view_as_real(complex).square().sum(-1).add_(1e-9).sqrt_();
    blocks.push_back(at::matmul(magnitude, filters_).clamp_min_(1e-5).log_());
  }
  return blocks.size() == 1 ? blocks[0] : at::cat(blocks);
}

}  // namespace voxpod
