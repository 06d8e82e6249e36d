#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/cancellation.h"
#include "nn/layer_norm.h"
#include "nn/linear.h"

namespace voxpod {

/// Takes layers out of a checkpoint into their place, one at a time: what has been placed is given
/// back to the page cache, so that a model is never in memory twice.
class Weights {
 public:
  /// `progress` gets the fraction that is placed of the bytes of all tensors whose names begin with
  /// one of `prefixes`.
  Weights(const Checkpoint& checkpoint, const Placement& placement,
          std::function<void(double)> progress, CancellationPtr cancellation,
          const std::vector<std::string>& prefixes = {""});

  const Placement& placement() const { return placement_; }
  bool contains(const std::string& name) const { return checkpoint_.contains(name); }
  /// From now on a tensor that holds NaN or an infinity throws kModelInvalid. The reading of it
  /// costs a large model some tenths of a second.
  void require_finite() { require_finite_ = true; }

  /// `name`.weight [out, in] and `name`.bias [out]; several names are stacked in order, and a
  /// missing bias counts as zeros.
  Linear linear(const std::vector<std::string>& names, int64_t out, int64_t in);
  RowLinear row_linear(const std::vector<std::string>& names, int64_t out, int64_t in);
  /// `name` [out, in] as one layer of the first `split` inputs, without bias, and one of the
  /// others.
  std::pair<RowLinear, RowLinear> split_row_linear(const std::string& name, int64_t out, int64_t in,
                                                   int64_t split);
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
  at::Tensor fetch(const std::string& name, at::IntArrayRef shape) const;
  Pair stack(const std::vector<std::string>& names, int64_t out, int64_t in);
  void placed(const std::vector<std::string>& tensors, int64_t bytes);

  const Checkpoint& checkpoint_;
  Placement placement_;
  std::function<void(double)> progress_;
  CancellationPtr cancellation_;
  bool require_finite_ = false;
  int64_t total_ = 0;
  int64_t read_ = 0;
  int64_t placed_ = 0;
};

}  // namespace voxpod
