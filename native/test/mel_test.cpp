// Shapes, ends and refusals; values against the definitions, term by term. vocoder_parity_test
// holds them against the reference's.
#include "signal/mel.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <numbers>

#include "check.h"
#include "signal/noise.h"
#include "signal/spectrum.h"

namespace {

using namespace voxpod;
using Kind = MelSpectrogram::Kind;

at::Tensor noise(int64_t samples) {
  at::Tensor out = at::zeros({samples}, at::kFloat);
  NoiseGenerator(3).draw({out.data_ptr<float>(), static_cast<size_t>(samples)});
  return out.mul_(0.1);
}

/// One value as the definition says it, in double precision.
double slow_mel(const at::Tensor& pcm, Kind kind, int64_t frame, int64_t mel) {
  const int64_t padding = kind == Kind::kVocos ? 512 : 384;
  const int64_t count = pcm.size(0);
  const auto make = kind == Kind::kVocos ? htk_filters : slaney_filters;
  const at::Tensor filters = make(24000, 1024, 100);
  double sum = 0;
  for (int64_t bin = 0; bin <= 512; ++bin) {
    const double filter = filters[mel][bin].item<float>();
    if (filter == 0) continue;
    double real = 0;
    double imaginary = 0;
    for (int64_t i = 0; i < 1024; ++i) {
      int64_t at = std::abs(frame * 256 + i - padding);
      if (at >= count) at = 2 * (count - 1) - at;
      const double hann =
          0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / 1024);
      const double angle = -2 * std::numbers::pi * static_cast<double>(bin * i % 1024) / 1024;
      const double value = hann * pcm.const_data_ptr<float>()[at];
      real += value * std::cos(angle);
      imaginary += value * std::sin(angle);
    }
    const double small = kind == Kind::kVocos ? 0 : 1e-9;
    sum += filter * std::sqrt(real * real + imaginary * imaginary + small);
  }
  return std::log(std::max(sum, 1e-5));
}

}  // namespace

TEST(mel_test, "values are those of the definition, at both ends and between") {
  for (const Kind kind : {Kind::kVocos, Kind::kBigVgan}) {
    const at::Tensor pcm = noise(5000);
    const at::Tensor mel = MelSpectrogram(kind).forward(pcm);
    for (const int64_t frame : {int64_t{0}, int64_t{1}, int64_t{9}, mel.size(0) - 1}) {
      for (const int64_t band : {0, 37, 99}) {
        const double difference = mel[frame][band].item<float>() - slow_mel(pcm, kind, frame, band);
        EXPECT_LESS(std::abs(difference), 2e-5);
      }
    }
  }
}

TEST(mel_test, "frames, silence, and audio that is too short") {
  for (const auto& [kind, least, more] :
       {std::tuple(Kind::kVocos, 513, 1), std::tuple(Kind::kBigVgan, 385, 0)}) {
    const MelSpectrogram spectrogram(kind);
    for (const int64_t samples : {least, 767, 768, 769, 25600, 600'000}) {
      const at::Tensor mel = spectrogram.forward(noise(samples));
      EXPECT_EQUAL(mel.size(0), samples / 256 + more);
      EXPECT_EQUAL(mel.size(1), 100);
    }
    // The root of 1e-9 is above the floor, so BigVGAN's silence is louder in wide filters.
    const at::Tensor silence = spectrogram.forward(at::zeros({1000}, at::kFloat));
    EXPECT_LESS(std::abs(silence.min().item<float>() - std::log(1e-5F)),
                kind == Kind::kVocos ? 1e-6 : 4);
    EXPECT_ERROR(ErrorCode::kInvalidArgument, spectrogram.forward(noise(least - 1)));
    EXPECT_ERROR(ErrorCode::kInvalidArgument, spectrogram.forward(at::zeros({0}, at::kFloat)));
    EXPECT_ERROR(ErrorCode::kInvalidArgument,
                 spectrogram.forward(at::zeros({1, 1000}, at::kFloat)));
    for (const float bad : {NAN, INFINITY}) {
      EXPECT_ERROR(ErrorCode::kInvalidArgument,
                   spectrogram.forward(at::full({1000}, bad, at::kFloat)));
    }
  }
}

TEST(mel_test, "a long recording's blocks meet without a seam") {
  for (const Kind kind : {Kind::kVocos, Kind::kBigVgan}) {
    const at::Tensor pcm = noise(2100 * 256);
    const MelSpectrogram spectrogram(kind);
    const at::Tensor whole = spectrogram.forward(pcm);
    // Frames from 1900 on see nothing of the start of this part but its first few.
    const at::Tensor part = spectrogram.forward(pcm.narrow(0, 1900 * 256, 200 * 256));
    EXPECT_LESS(test::relative_error(part.narrow(0, 10, 180), whole.narrow(0, 1910, 180)), 1e-5);
  }
}
