#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "nn/linear.h"
#include "nn/placement.h"

namespace voxpod::f5 {

/// One half of an utterance (with its text and reference, or without) among the rows of a step: all
/// sequences lie one after another, without padding.
struct Sequence {
  int64_t first = 0;  ///< row
  int64_t rows = 0;
  at::Tensor conditioning;  ///< what its point of time becomes: [conditioning width] float32
};

/// How a layer's output enters the stream, and what the next layer reads of it.
struct RowNorm {
  /// Where in a sequence's conditioning its vectors [width] begin; -1 for none.
  int64_t gate = -1;   ///< what `delta` is multiplied by
  int64_t scale = -1;  ///< LayerNorm(x) * (1 + scale) + shift
  int64_t shift = -1;
  /// [width]: RMSNorm(x) * weight, in place of the LayerNorm.
  at::Tensor weight = {};
};

/// x += gate * delta, where `delta` is defined, then `out` = norm(x), where `out` is defined: x
/// [rows, width] float32, the others in the placement's type.
void residual_norm(at::Tensor& x, const at::Tensor& delta, std::span<const Sequence> sequences,
                   const RowNorm& norm, at::Tensor& out, const Placement& placement);

/// A layer over the rows of all sequences, so that what one gets does not depend on the others: on
/// tiles no row depends on another, elsewhere on a CPU each sequence is computed alone. (How oneDNN
/// sums depends on the number of rows.)
at::Tensor apply(const Linear& layer, const at::Tensor& x, std::span<const Sequence> sequences,
                 const Placement& placement, Activation activation = Activation::kNone);
/// sum += layer(x), likewise; `sum` is float32.
void apply_to(at::Tensor& sum, const Linear& layer, const at::Tensor& x,
              std::span<const Sequence> sequences, const Placement& placement);

}  // namespace voxpod::f5
