#include "f5/ragged.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <cmath>
#include <vector>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"

namespace voxpod::f5 {
namespace {

constexpr double kEpsilon = 1e-6;
constexpr double kLeastLength = 1e-12;  // of F.normalize

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
      const at::Tensor length = at::linalg_vector_norm(own, 2, 1, true).clamp_min_(kLeastLength);
      normal = own.div(length).mul_(std::sqrt(static_cast<double>(width))).mul_(norm.weight);
    } else {
      normal = at::layer_norm(own, {width}, {}, {}, kEpsilon, false)
                   .mul_(vector(norm.scale).add(1))
                   .add_(vector(norm.shift));
    }
    out.narrow(0, sequence.first, sequence.rows).copy_(normal);
  }
}

void by_kernel(at::Tensor& x, const at::Tensor& delta, std::span<const Sequence> sequences,
               const RowNorm& norm, at::Tensor& out, at::ScalarType dtype) {
  const int64_t width = x.size(1);
  const auto bytes = static_cast<int64_t>(c10::elementSize(dtype));
  const auto* change =
      delta.defined() ? static_cast<const uint8_t*>(delta.const_data_ptr()) : nullptr;
  auto* normal = out.defined() ? static_cast<uint8_t*>(out.data_ptr()) : nullptr;
  const bool root = norm.weight.defined();
  const auto& kernels = cpu::kernels();
  for (const Sequence& sequence : sequences) {
    const float* vectors = sequence.conditioning.const_data_ptr<float>();
    const auto vector = [&](int64_t at) { return at < 0 ? nullptr : vectors + at; };
    share_range(sequence.rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t row = sequence.first + begin; row < sequence.first + end; ++row) {
        kernels.flow_row({
            .x = x.data_ptr<float>() + row * width,
            .delta = change ? change + row * width * bytes : nullptr,
            .gate = vector(norm.gate),
            .out = normal ? normal + row * width * bytes : nullptr,
            .scale = root ? norm.weight.const_data_ptr<float>() : vector(norm.scale),
            .shift = vector(norm.shift),
            .epsilon = static_cast<float>(root ? kLeastLength : kEpsilon),
            .storage = dtype == at::kBFloat16 ? cpu::Storage::kBFloat16 : cpu::Storage::kFloat32,
            .size = width,
        });
      }
    });
  }
}

bool at_once(std::span<const Sequence> sequences, const Placement& placement) {
  return sequences.size() == 1 || placement.uses_tiles() || !placement.device.is_cpu();
}

}  // namespace

void residual_norm(at::Tensor& x, const at::Tensor& delta, std::span<const Sequence> sequences,
                   const RowNorm& norm, at::Tensor& out, const Placement& placement) {
  if (placement.uses_kernels() && x.size(1) % 16 == 0) {
    by_kernel(x, delta, sequences, norm, out, placement.dtype);
  } else {
    generic(x, delta, sequences, norm, out);
  }
}

at::Tensor apply(const Linear& layer, const at::Tensor& x, std::span<const Sequence> sequences,
                 const Placement& placement, Activation activation) {
  if (at_once(sequences, placement)) return layer.forward(x, activation);
  std::vector<at::Tensor> parts;
  for (const Sequence& sequence : sequences) {
    parts.push_back(layer.forward(x.narrow(0, sequence.first, sequence.rows), activation));
  }
  return at::cat(parts);
}

void apply_to(at::Tensor& sum, const Linear& layer, const at::Tensor& x,
              std::span<const Sequence> sequences, const Placement& placement) {
  if (at_once(sequences, placement)) {
    layer.add_to(sum, x);
    return;
  }
  for (const Sequence& sequence : sequences) {
    at::Tensor own = sum.narrow(0, sequence.first, sequence.rows);
    layer.add_to(own, x.narrow(0, sequence.first, sequence.rows));
  }
}

}  // namespace voxpod::f5
