#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "nn/depthwise_conv.h"
#include "nn/linear.h"
#include "nn/weights.h"
#include "signal/mel.h"
#include "vocoder/vocoder.h"

namespace voxpod {

/// Vocos for mel spectrograms (gemelo-ai/vocos, vocos/models.py and heads.py): ConvNeXt blocks over
/// frames, then magnitudes and phases of an inverse short-time Fourier transform.
class Vocos : public Vocoder {
 public:
  /// Layers' outputs by the names of the reference's modules: [frames, channels].
  using Observer = std::function<void(const std::string& layer, const at::Tensor& out)>;

  /// Whether a checkpoint has the tensors of one.
  static bool is_in(const Checkpoint& checkpoint);
  /// Sizes come from the tensors' shapes. `placement` must be of float32.
  Vocos(const Checkpoint& checkpoint, const Placement& placement);

  const char* name() const override { return "vocos"; }
  at::Tensor mel(const at::Tensor& pcm) const override { return mel_.forward(pcm); }
  at::Tensor decode(const at::Tensor& mel, const Cancellation& cancellation) const override {
    return decode(mel, cancellation, [](const std::string&, const at::Tensor&) {});
  }
  at::Tensor decode(const at::Tensor& mel, const Cancellation& cancellation,
                    const Observer& observe) const;
  int64_t weight_bytes() const override { return weight_bytes_; }

 private:
  struct Norm {
    at::Tensor weight;
    at::Tensor bias;
    at::Tensor forward(const at::Tensor& x) const;
  };
  struct Block {
    DepthwiseConv depthwise;
    Norm norm;
    Linear in;
    Linear out;
    at::Tensor gamma;
  };

  Placement placement_;
  MelSpectrogram mel_;
  Linear embed_;
  Norm norm_;
  std::vector<Block> blocks_;
  Norm final_norm_;
  Linear head_;
  at::Tensor window_;
  int64_t weight_bytes_ = 0;
};

}  // namespace voxpod
