#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "signal/mel.h"
#include "vocoder/bigvgan_config.h"
#include "vocoder/snake.h"
#include "vocoder/vocoder.h"

namespace voxpod {

/// NVIDIA's BigVGAN (bigvgan.py): transposed convolutions that raise the rate from frames to
/// samples, each followed by residual blocks with periodic activations.
///
/// Held against the package bigvgan 2.4.1 with random weights: test/fixtures/make_bigvgan.py.
class BigVgan : public Vocoder {
 public:
  /// Whether a checkpoint has the tensors of one.
  static bool is_in(const Checkpoint& checkpoint);
  /// Sizes come from the tensors' shapes and from `config`, a config.json. Weight normalisation is
  /// folded. `placement` must be of float32.
  BigVgan(const Checkpoint& checkpoint, const std::filesystem::path& config,
          const Placement& placement);

  const char* name() const override { return "bigvgan"; }
  at::Tensor mel(const at::Tensor& pcm) const override { return mel_.forward(pcm); }
  at::Tensor decode(const at::Tensor& mel, const Cancellation& cancellation) const override;
  int64_t weight_bytes() const override { return weight_bytes_; }

 private:
  /// Over [samples, channels]. Weights are those of two-dimensional convolutions of height 1 with
  /// channels last: a layout that oneDNN has fast kernels for.
  struct Convolution {
    at::Tensor weight;
    at::Tensor bias;  ///< may be undefined
    int64_t dilation = 1;
    at::Tensor forward(const at::Tensor& x) const;
  };
  struct Upsampling {
    at::Tensor weight;
    at::Tensor bias;
    int64_t rate = 1;
    at::Tensor forward(const at::Tensor& x) const;
  };
  struct Residual {
    Snake first_snake;
    Convolution first;
    Snake second_snake;
    Convolution second;
  };
  struct Stage {
    Upsampling up;
    std::vector<std::vector<Residual>> blocks;
  };
  class Loader;

  Placement placement_;
  MelSpectrogram mel_;
  bool final_tanh_ = true;
  Convolution before_;
  std::vector<Stage> stages_;
  Snake last_snake_;
  Convolution after_;
  int64_t weight_bytes_ = 0;
};

}  // namespace voxpod
