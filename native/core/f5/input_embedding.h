#pragma once

#include "f5/geometry.h"
#include "f5/position_convolution.h"
#include "nn/weights.h"

namespace voxpod::f5 {

/// The noised mel, the condition and the text of each frame in one projection, then positions:
/// SWivid/F5-TTS, model/backbones/dit.py, InputEmbedding. Only the noised mel changes from step to
/// step: what the others add is computed once.
class InputEmbedding {
 public:
  InputEmbedding(Weights& weights, const Geometry& geometry);

  /// What stays: condition [frames, mels] and text [frames, text_width], float32, to [frames,
  /// width] float32.
  at::Tensor context(const at::Tensor& condition, const at::Tensor& text) const;
  /// One sequence's stream: `out` [frames, width] float32 of mel [frames, mels] float32.
  void forward(const at::Tensor& mel, const at::Tensor& context, at::Tensor& out) const;

 private:
  std::pair<RowLinear, RowLinear> projection_;  ///< of the noised mel, and of the rest
  PositionConvolution positions_;
  at::ScalarType dtype_;
};

}  // namespace voxpod::f5
