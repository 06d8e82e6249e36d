#include "f5/flow.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "error.h"

namespace voxpod::f5 {
namespace {

void expect(bool condition, const auto&... what) {
  if (!condition) fail(ErrorCode::kInvalidArgument, what...);
}

bool finite(const std::vector<float>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](float x) { return std::isfinite(x); });
}

at::Tensor to_tensor(std::vector<float>& numbers, int64_t rows, at::Device device) {
  const int64_t columns = rows == 0 ? 0 : static_cast<int64_t>(numbers.size()) / rows;
  return at::from_blob(numbers.data(), {rows, columns}, at::kFloat).clone().to(device);
}

}  // namespace

void validate(const FlowRequest& request, const Geometry& geometry) {
  const int64_t frames = request.frames;
  expect(frames >= 1 && frames <= geometry.max_frames(), "An utterance has 1 to ",
         geometry.max_frames(), " frames, not ", frames);
  const auto whole = [&](const std::vector<float>& mel) {
    return std::ssize(mel) % geometry.mels == 0;
  };
  const int64_t given = std::ssize(request.condition) / geometry.mels;
  expect(whole(request.condition) && given <= frames, "The condition has ",
         request.condition.size(), " numbers: rows of ", geometry.mels, ", at most ", frames,
         ", were expected");
  expect(request.keep.empty() || std::ssize(request.keep) == given, "keep has ",
         request.keep.size(), " frames where the condition has ", given);
  expect(std::ssize(request.tokens) <= frames, "The text has ", request.tokens.size(),
         " tokens, more than its ", frames, " frames");
  for (const int64_t token : request.tokens) {
    expect(token >= 0 && token < geometry.vocabulary, "Token ", token,
           " is not of this model's vocabulary of ", geometry.vocabulary);
  }
  expect(whole(request.noise) && std::ssize(request.noise) == frames * geometry.mels,
         "The noise has ", request.noise.size(), " numbers where ", frames * geometry.mels,
         " were expected");
  expect(finite(request.condition) && finite(request.noise),
         "The condition or the noise holds NaN or infinite numbers");
  expect(request.times.size() >= 2 && finite(request.times) && request.times.front() >= 0 &&
             request.times.back() <= 1 + 1e-6F,
         "times needs at least two points from 0 to 1");
  expect(std::adjacent_find(request.times.begin(), request.times.end(), std::greater_equal<>()) ==
             request.times.end(),
         "times must rise");
  expect(std::isfinite(request.guidance) && request.guidance >= 0,
         "guidance must be a number of at least 0");
}

Flow::Flow(FlowRequest request, const Backbone& backbone, const Geometry& geometry,
           const Placement& placement, const Cancellation& cancellation)
    : request_(std::move(request)) {
  const at::Device device = placement.device;
  const int64_t frames = request_.frames;
  const int64_t given = std::ssize(request_.condition) / geometry.mels;
  condition_ = at::zeros({frames, geometry.mels}, at::TensorOptions(at::kFloat).device(device));
  kept_ = at::zeros({frames, 1}, at::TensorOptions(at::kBool).device(device));
  if (given > 0) {
    condition_.narrow(0, 0, given).copy_(to_tensor(request_.condition, given, device));
    at::Tensor kept = kept_.narrow(0, 0, given);
    if (request_.keep.empty()) {
      kept.fill_(true);
    } else {
      kept.copy_(at::from_blob(request_.keep.data(), {given, 1}, at::kByte).ne(0));
    }
  }
  state_ = to_tensor(request_.noise, frames, device);
  const TextEmbedding::Embedded text =
      backbone.text().forward(request_.tokens, frames, request_.guided(), cancellation);
  context_ = backbone.input().context(condition_.mul(kept_), text.text);
  if (request_.guided()) {
    dropped_context_ = backbone.input().context(at::zeros_like(condition_), text.dropped);
  }
  for (auto* numbers : {&request_.condition, &request_.noise}) *numbers = {};
}

double Flow::progress() const {
  return static_cast<double>(step_) / static_cast<double>(request_.times.size() - 1);
}

std::vector<float> Flow::upcoming(size_t count) const {
  std::vector<float> out;
  const auto& times = request_.times;
  for (size_t step = step_; step + 1 < times.size() && out.size() < count; ++step) {
    const bool begun = step == step_ && middle_.defined();
    if (!begun) out.push_back(times[step]);
    if (request_.method == Method::kMidpoint && out.size() < count) {
      out.push_back(times[step] + 0.5F * (times[step + 1] - times[step]));
    }
  }
  return out;
}

void Flow::wanted(const at::Tensor& conditioning, std::vector<Half>& out) const {
  const at::Tensor& mel = middle_.defined() ? middle_ : state_;
  out.push_back({.mel = mel, .context = context_, .conditioning = conditioning});
  if (request_.guided()) {
    out.push_back({.mel = mel, .context = dropped_context_, .conditioning = conditioning});
  }
}

void Flow::advance(const at::Tensor& velocity) {
  at::Tensor direction = velocity.narrow(0, 0, frames());
  if (request_.guided()) {
    const at::Tensor dropped = velocity.narrow(0, frames(), frames());
    direction = direction.add(direction.sub(dropped).mul_(request_.guidance));
  }
  const float length = request_.times[step_ + 1] - request_.times[step_];
  if (request_.method == Method::kMidpoint && !middle_.defined()) {
    middle_ = state_.add(direction.mul(0.5F * length));
    return;
  }
  state_ = state_.add(direction.mul(length));
  middle_.reset();
  ++step_;
}

at::Tensor Flow::result() const {
  return at::where(kept_, condition_, state_).to(at::kCPU).contiguous();
}

}  // namespace voxpod::f5
