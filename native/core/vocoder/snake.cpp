#include "vocoder/snake.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/conv_transpose1d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/replication_pad1d.h>

#include <array>
#include <cmath>
#include <numbers>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"

namespace voxpod {
namespace {

constexpr int64_t kTaps = cpu::kSnakeTaps;
constexpr double kNoDivisionByZero = 1e-9;  // activations.py

/// The modified Bessel function of the first kind, order 0, by its power series.
double bessel(double x) {
  double term = 1;
  double sum = 1;
  for (int k = 1; k < 50; ++k) {
    term *= x / 2 / k * (x / 2 / k);
    sum += term;
  }
  return sum;
}

}  // namespace

at::Tensor snake_filter() {
  // filter.py, kaiser_sinc_filter1d with cutoff 0.25 and half_width 0.3: Kaiser's formula for the
  // attenuation that 12 taps give such a transition.
  constexpr double kCutoff = 0.25;
  constexpr double kTransition = 4 * 0.3;
  const double attenuation = 2.285 * (kTaps / 2 - 1) * std::numbers::pi * kTransition + 7.95;
  const double beta = attenuation > 50.0
                          ? 0.1102 * (attenuation - 8.7)
                          : 0.5842 * std::pow(attenuation - 21, 0.4) + 0.07886 * (attenuation - 21);
  std::array<double, kTaps> taps = {};
  double sum = 0;
  for (int64_t i = 0; i < kTaps; ++i) {
    const double time = static_cast<double>(i - kTaps / 2) + 0.5;
    const double place = 2 * time / (kTaps - 1);  // -1 to 1
    const double angle = 2 * kCutoff * time * std::numbers::pi;
    auto& tap = taps[static_cast<size_t>(i)];
    tap = bessel(beta * std::sqrt(1 - place * place)) * std::sin(angle) / angle;
    sum += tap;
  }
  at::Tensor out = at::empty({kTaps}, at::kFloat);
  for (int64_t i = 0; i < kTaps; ++i) {
    out.data_ptr<float>()[i] = static_cast<float>(taps[static_cast<size_t>(i)] / sum);
  }
  return out;
}

Snake::Snake(const at::Tensor& alpha, const at::Tensor& beta, const Placement& placement)
    : alpha_(alpha.to(placement.device)),
      inverse_beta_(beta.add(kNoDivisionByZero).reciprocal_().to(placement.device)),
      filter_(snake_filter().to(placement.device)),
      kernels_(placement.uses_kernels() && alpha.size(0) >= cpu::kSnakeChannels) {}

at::Tensor Snake::forward(const at::Tensor& x) const {
  const int64_t channels = x.size(1);
  if (kernels_) {
    at::Tensor out = at::empty_like(x);
    const cpu::SnakeArgs args = {
        .x = x.const_data_ptr<float>(),
        .filter = filter_.const_data_ptr<float>(),
        .alpha = alpha_.const_data_ptr<float>(),
        .inverse_beta = inverse_beta_.const_data_ptr<float>(),
        .out = out.data_ptr<float>(),
        .samples = x.size(0),
        .channels = channels,
    };
    const auto& kernels = cpu::kernels();
    share_range(args.samples, cpu::kSnakeBlock,
                [&](int64_t begin, int64_t end) { kernels.snake(args, begin, end); });
    return out;
  }
  constexpr int64_t kPad = kTaps / 2 - 1;
  constexpr int64_t kCut = 2 * kPad + (kTaps - 2) / 2;
  const at::Tensor filter = filter_.expand({channels, 1, kTaps});
  const at::Tensor padded = at::replication_pad1d(x.t().unsqueeze(0), {kPad, kPad});
  at::Tensor fast = at::conv_transpose1d(padded, filter, {}, 2, 0, 0, channels);
  fast = fast.narrow(2, kCut, 2 * x.size(0)).mul(2);
  const at::Tensor sine = fast.mul(alpha_.unsqueeze(1)).sin_();
  fast.add_(sine.square_().mul_(inverse_beta_.unsqueeze(1)));
  const at::Tensor out = at::conv1d(at::replication_pad1d(fast, {kPad, kPad + 1}), filter, {}, 2,
                                    at::IntArrayRef(0), 1, channels);
  return out.squeeze(0).t().contiguous();
}

}  // namespace voxpod
