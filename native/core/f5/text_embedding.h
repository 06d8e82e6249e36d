#pragma once

#include <span>
#include <vector>

#include "engine/cancellation.h"
#include "f5/geometry.h"
#include "nn/weights.h"

namespace voxpod::f5 {

/// The text's tokens, one a frame from the beginning and filler behind them, through ConvNeXt V2
/// blocks over time (SWivid/F5-TTS, model/backbones/dit.py and unett.py, TextEmbedding;
/// model/modules.py, ConvNeXtV2Block and GRN). The blocks normalise over all frames, so the result
/// depends on their number.
class TextEmbedding {
 public:
  TextEmbedding(Weights& weights, const Geometry& geometry);

  /// Two of [frames, text_width] float32: with the text, and without it as guidance wants it.
  struct Embedded {
    at::Tensor text;
    at::Tensor dropped;
  };
  /// `tokens`: at most `frames` ids. `guided`: whether `dropped` is wanted. Throws kCancelled
  /// between blocks.
  Embedded forward(std::span<const int64_t> tokens, int64_t frames, bool guided,
                   const Cancellation& cancellation) const;

 private:
  struct Block {
    at::Tensor depthwise;  ///< [text_width, 1, 7] float32
    at::Tensor depthwise_bias;
    at::Tensor norm_weight;
    at::Tensor norm_bias;
    Linear in;
    at::Tensor gamma;  ///< [text_inner] float32
    at::Tensor beta;
    Linear out;
  };

  at::Tensor embed(const at::Tensor& ids, int64_t tokens, const Cancellation& cancellation) const;
  at::Tensor positions(int64_t frames) const;
  at::Tensor convolve(const Block& block, const at::Tensor& x) const;

  Geometry geometry_;
  Placement placement_;
  at::Tensor table_;  ///< [vocabulary + 1, text_width] float32
  std::vector<Block> blocks_;
};

}  // namespace voxpod::f5
