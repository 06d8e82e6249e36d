#pragma once

#include <optional>

#include "f5/backbone.h"

namespace voxpod::f5 {

/// E2-TTS's flat U-Net transformer: time is a row before each sequence, and the later half of the
/// layers sees what the earlier half began with. SWivid/F5-TTS, model/backbones/unett.py.
class UNetT : public Backbone {
 public:
  UNetT(Weights& weights, const Geometry& geometry);

  at::Tensor condition(std::span<const float> times) const override;
  at::Tensor velocity(std::span<const Half> halves, const Check& check) override;

 private:
  struct Layer {
    std::string name;
    std::optional<Linear> skip;  ///< of the later half
    at::Tensor attention_norm;   ///< [width] float32
    Attention attention;
    at::Tensor forward_norm;
    FeedForward forward;
  };

  std::vector<Layer> layers_;
  at::Tensor last_norm_;
  RowLinear out_;
};

}  // namespace voxpod::f5
