#pragma once

#include <optional>

#include "f5/backbone.h"

namespace voxpod::f5 {

/// F5-TTS's diffusion transformer, modulated by time (adaLN-zero; Peebles and Xie 2022):
/// SWivid/F5-TTS, model/backbones/dit.py and model/modules.py, DiTBlock.
class DiT : public Backbone {
 public:
  DiT(Weights& weights, const Geometry& geometry);

  at::Tensor condition(std::span<const float> times) const override;
  at::Tensor velocity(std::span<const Half> halves, const Check& check) override;

 private:
  struct Block {
    std::string name;
    RowLinear modulation;
    Attention attention;
    FeedForward forward;
  };

  std::vector<Block> blocks_;
  std::optional<Linear> long_skip_;
  RowLinear last_modulation_;
  RowLinear out_;
};

}  // namespace voxpod::f5
