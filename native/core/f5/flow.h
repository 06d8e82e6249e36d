#pragma once

#include <cstdint>
#include <vector>

#include "f5/backbone.h"

namespace voxpod::f5 {

enum class Method { kEuler, kMidpoint };

/// One utterance: FlowRequest of lib/native.ts. Mels are [frames, mels], row after row.
struct FlowRequest {
  std::vector<float> condition;
  std::vector<uint8_t> keep;  ///< for each frame of the condition; empty keeps all
  std::vector<int64_t> tokens;
  int64_t frames = 0;
  std::vector<float> noise;
  std::vector<float> times;
  Method method = Method::kEuler;
  double guidance = 0;

  bool guided() const { return guidance >= 1e-5; }  ///< model/cfm.py, CFM.sample
};

/// Throws kInvalidArgument for a request that this model cannot speak.
void validate(const FlowRequest& request, const Geometry& geometry);

/// One utterance on its way from noise to speech: SWivid/F5-TTS, model/cfm.py, CFM.sample. The
/// state and the time are float32 whatever the model computes in.
class Flow {
 public:
  /// Computes what all steps share. Throws kCancelled.
  Flow(FlowRequest request, const Backbone& backbone, const Geometry& geometry,
       const Placement& placement, const Cancellation& cancellation);

  int64_t frames() const { return request_.frames; }
  bool done() const { return step_ + 1 >= request_.times.size(); }
  /// Steps that are done, of all.
  double progress() const;
  /// The points of time where the direction is still wanted, in order, `count` at most.
  std::vector<float> upcoming(size_t count) const;
  /// Where the direction is wanted now, with guidance for two halves: adds them. `conditioning`
  /// belongs to upcoming(1).
  void wanted(const at::Tensor& conditioning, std::vector<Half>& out) const;
  int64_t rows() const { return frames() * (request_.guided() ? 2 : 1); }
  /// The direction there: [rows(), mels].
  void advance(const at::Tensor& velocity);
  /// All frames [frames, mels] on the CPU, the kept ones as they were given.
  at::Tensor result() const;
  /// The state now: [frames, mels].
  const at::Tensor& state() const { return state_; }

 private:
  FlowRequest request_;
  at::Tensor condition_;  ///< [frames, mels], zeros where nothing is given
  at::Tensor kept_;       ///< [frames, 1] bool
  at::Tensor context_;
  at::Tensor dropped_context_;
  at::Tensor state_;
  at::Tensor middle_;  ///< midpoint: where the second direction of the step is wanted
  size_t step_ = 0;
};

}  // namespace voxpod::f5
