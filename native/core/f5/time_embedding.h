#pragma once

#include <span>

#include "f5/geometry.h"
#include "nn/weights.h"

namespace voxpod::f5 {

/// Points of time as vectors: SWivid/F5-TTS, model/modules.py, TimestepEmbedding.
class TimeEmbedding {
 public:
  TimeEmbedding(Weights& weights, const Geometry& geometry);

  /// [times, width] float32. No row depends on the others.
  at::Tensor forward(std::span<const float> times) const;

 private:
  Placement placement_;
  RowLinear in_;
  RowLinear out_;
};

}  // namespace voxpod::f5
