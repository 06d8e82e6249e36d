#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/cancellation.h"
#include "nn/layer_norm.h"
#include "nn/linear.h"

namespace voxpod::whisper {

/// Takes layers out of a checkpoint into their place, one at a time: what has been placed is given
/// back to the page cache, so that a model is never in memory twice.
class Weights {
 public:
  /// `progress` gets the fraction of the checkpoint's bytes that is placed.
  Weights(const Checkpoint& checkpoint, const Placement& placement,
          std::function<void(double)> progress, CancellationPtr cancellation);

  const Placement& placement() const { return placement_; }

  /// `name`.weight [out, in] and `name`.bias [out]; several names are stacked in order, and a
  /// missing bias counts as zeros.
  Linear linear(const std::vector<std::string>& names, int64_t out, int64_t in);
  RowLinear row_linear(const std::vector<std::string>& names, int64_t out, int64_t in);
  /// A convolution's `name`.weight [out, in, size] as a linear layer over [size, in].
  Linear convolution(const std::string& name, int64_t out, int64_t in, int64_t size);
  /// `name`.weight [out, in] alone.
  RowLinear embedding(const std::string& name, int64_t out, int64_t in);
  LayerNorm norm(const std::string& name, int64_t size);
  /// `name` itself, in `dtype`.
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);

  int64_t placed_bytes() const { return placed_; }

 private:
  struct Pair {
    at::Tensor weight;
    at::Tensor bias;
  };
  Pair stack(const std::vector<std::string>& names, int64_t out, int64_t in);
  void placed(const std::vector<std::string>& tensors, int64_t bytes);

  const Checkpoint& checkpoint_;
  Placement placement_;
  std::function<void(double)> progress_;
  CancellationPtr cancellation_;
  int64_t total_ = 0;
  int64_t read_ = 0;
  int64_t placed_ = 0;
};

}  // namespace voxpod::whisper
