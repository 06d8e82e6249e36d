#pragma once

#include "engine/cancellation.h"
#include "nn/weights.h"
#include "whisper/geometry.h"

namespace voxpod::whisper {

/// The audio encoder: two convolutions, then pre-norm transformer layers (Radford et al. 2022,
/// section 2.2; openai-whisper, whisper/model.py, AudioEncoder). Large products run in the
/// placement's type, the residual stream and the norms in float32.
class Encoder {
 public:
  Encoder(Weights& weights, const Geometry& geometry);

  /// mel [mels, 3000] float32 on the device to [audio_context, width] in the placement's type.
  /// Throws kCancelled between layers.
  at::Tensor forward(const at::Tensor& mel, const Cancellation& cancellation) const;

 private:
  struct Layer {
    LayerNorm attention_norm;
    Linear query_key_value;
    Linear attention_out;
    LayerNorm mlp_norm;
    Linear mlp_in;
    Linear mlp_out;
  };

  Placement placement_;
  int64_t heads_;
  Linear conv1_;
  Linear conv2_;
  at::Tensor positions_;  ///< [audio_context, width] float32
  std::vector<Layer> layers_;
  LayerNorm norm_;
};

}  // namespace voxpod::whisper
