#pragma once

#include "f5/geometry.h"
#include "f5/ragged.h"
#include "nn/weights.h"

namespace voxpod::f5 {

/// Positions out of two grouped convolutions over time, Mish behind each, added to what they read:
/// SWivid/F5-TTS, model/modules.py, ConvPositionEmbedding.
class PositionConvolution {
 public:
  PositionConvolution(Weights& weights, const Geometry& geometry);

  /// x [rows, width] float32 of one sequence, in place.
  void add_to(at::Tensor& x) const;

 private:
  struct Layer {
    /// [width, group, kernel] in the placement's type; with tiles those of each group, bytes.
    at::Tensor weight;
    at::Tensor bias;  ///< [width]; with tiles float32
  };

  void add_on_tiles(at::Tensor& x) const;

  Placement placement_;
  bool tiles_;
  int64_t group_;
  int64_t groups_;
  int64_t kernel_;
  std::vector<Layer> layers_;
};

}  // namespace voxpod::f5
