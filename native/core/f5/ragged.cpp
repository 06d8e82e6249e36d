#include "f5/ragged.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <cmath>

namespace voxpod::f5 {
namespace {

constexpr double kEpsilon = 1e-6;

void generic(at::Tensor& x, const at::Tensor& delta, std::span<const Sequence> sequences,
             const RowNorm& norm, at::Tensor& out) {
  const int64_t width = x.size(1);
  for (const Sequence& sequence : sequences) {
    at::Tensor own = x.narrow(0, sequence.first, sequence.rows);
    const auto vector = [&](int64_t at) { return sequence.conditioning.narrow(0, at, width); };
    if (delta.defined()) {
      const at::Tensor change = delta.narrow(0, sequence.first, sequence.rows).to(at::kFloat);
      own.add_(norm.gate < 0 ? change : change.mul(vector(norm.gate)));
    }
    if (!out.defined()) continue;
    at::Tensor normal;
    if (norm.weight.defined()) {
      // x_transformers, RMSNorm: F.normalize(x) * sqrt(width) * g.
      const at::Tensor length = at::linalg_vector_norm(own, 2, 1, true).clamp_min_(1e-12);
      normal = own.div(length).mul_(std::sqrt(static_cast<double>(width))).mul_(norm.weight);
    } else {
      normal = at::layer_norm(own, {width}, {}, {}, kEpsilon, false)
                   .mul_(vector(norm.scale).add(1))
                   .add_(vector(norm.shift));
    }
    out.narrow(0, sequence.first, sequence.rows).copy_(normal);
  }
}

}  // namespace

void residual_norm(at::Tensor& x, const at::Tensor& delta, std::span<const Sequence> sequences,
                   const RowNorm& norm, at::Tensor& out, const Placement&) {
  generic(x, delta, sequences, norm, out);
}

at::Tensor Room::take(int64_t rows, int64_t columns, const at::TensorOptions& options) {
  if (!memory_.defined() || memory_.numel() < rows * columns) {
    memory_.reset();
    memory_ = at::empty({rows * columns}, options);
  }
  return memory_.narrow(0, 0, rows * columns).view({rows, columns});
}

}  // namespace voxpod::f5
