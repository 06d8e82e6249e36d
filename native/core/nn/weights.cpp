#include "nn/weights.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace voxpod {
namespace {

/// Whether no number of this floating type has all bits of its exponent set.
template <typename Bits>
bool all_finite(const void* data, int64_t count, Bits exponent) {
  const auto* numbers = static_cast<const Bits*>(data);
  std::atomic<bool> finite = true;
  at::parallel_for(0, count, 1 << 16, [&](int64_t begin, int64_t end) {
    bool bad = false;
    for (int64_t i = begin; i < end; ++i) bad |= (numbers[i] & exponent) == exponent;
    if (bad) finite = false;
  });
  return finite;
}

bool all_finite(const at::Tensor& tensor) {
  const void* data = tensor.const_data_ptr();
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return all_finite<uint32_t>(data, tensor.numel(), 0x7F800000);
    case at::kHalf:
      return all_finite<uint16_t>(data, tensor.numel(), 0x7C00);
    case at::kBFloat16:
      return all_finite<uint16_t>(data, tensor.numel(), 0x7F80);
    default:
      return true;
  }
}

}  // namespace

Weights::Weights(const Checkpoint& checkpoint, const Placement& placement,
                 std::function<void(double)> progress, CancellationPtr cancellation,
                 const std::vector<std::string>& prefixes)
    : checkpoint_(checkpoint),
      placement_(placement),
      progress_(std::move(progress)),
      cancellation_(std::move(cancellation)) {
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (std::any_of(prefixes.begin(), prefixes.end(),
                    [&](const std::string& prefix) { return name.starts_with(prefix); })) {
      total_ += static_cast<int64_t>(tensor.bytes());
    }
  }
}

void Weights::placed(const std::vector<std::string>& tensors, int64_t bytes) {
  for (const std::string& name : tensors) {
    if (!checkpoint_.contains(name)) continue;
    read_ += static_cast<int64_t>(checkpoint_.at(name).bytes());
    checkpoint_.release(name);
  }
  placed_ += bytes;
  if (progress_ && total_ > 0) {
    progress_(std::min(1.0, static_cast<double>(read_) / static_cast<double>(total_)));
  }
  cancellation_->check();
}

at::Tensor Weights::fetch(const std::string& name, at::IntArrayRef shape) const {
  at::Tensor tensor = checkpoint_.tensor(name, shape);
  if (require_finite_ && !all_finite(tensor)) {
    fail(ErrorCode::kModelInvalid, name, " holds NaN or infinite numbers");
  }
  return tensor;
}

Weights::Pair Weights::stack(const std::vector<std::string>& names, int64_t out, int64_t in) {
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> biases;
  for (const std::string& name : names) {
    weights.push_back(fetch(name + ".weight", {out, in}));
    biases.push_back(checkpoint_.contains(name + ".bias")
                         ? fetch(name + ".bias", {out})
                         : at::zeros({out}, weights.back().scalar_type()));
  }
  if (names.size() == 1) return {weights[0], biases[0]};
  return {at::cat(weights), at::cat(biases)};
}

namespace {

std::vector<std::string> with_suffixes(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    out.push_back(name + ".weight");
    out.push_back(name + ".bias");
  }
  return out;
}

}  // namespace

Linear Weights::linear(const std::vector<std::string>& names, int64_t out, int64_t in) {
  const Pair pair = stack(names, out, in);
  Linear layer(pair.weight, pair.bias, placement_);
  placed(with_suffixes(names), layer.weight_bytes());
  return layer;
}

RowLinear Weights::row_linear(const std::vector<std::string>& names, int64_t out, int64_t in) {
  const Pair pair = stack(names, out, in);
  RowLinear layer(pair.weight, pair.bias, placement_);
  placed(with_suffixes(names), layer.weight_bytes());
  return layer;
}

std::pair<RowLinear, RowLinear> Weights::split_row_linear(const std::string& name, int64_t out,
                                                          int64_t in, int64_t split) {
  const Pair pair = stack({name}, out, in);
  RowLinear first(pair.weight.narrow(1, 0, split), {}, placement_);
  RowLinear second(pair.weight.narrow(1, split, in - split), pair.bias, placement_);
  placed(with_suffixes({name}), first.weight_bytes() + second.weight_bytes());
  return {std::move(first), std::move(second)};
}

Linear Weights::convolution(const std::string& name, int64_t out, int64_t in, int64_t size) {
  const at::Tensor weight =
      fetch(name + ".weight", {out, in, size}).transpose(1, 2).reshape({out, size * in});
  Linear layer(weight, fetch(name + ".bias", {out}), placement_);
  placed(with_suffixes({name}), layer.weight_bytes());
  return layer;
}

RowLinear Weights::embedding(const std::string& name, int64_t out, int64_t in) {
  RowLinear layer(fetch(name + ".weight", {out, in}), {}, placement_);
  placed({name + ".weight"}, layer.weight_bytes());
  return layer;
}

LayerNorm Weights::norm(const std::string& name, int64_t size) {
  LayerNorm layer(fetch(name + ".weight", {size}), fetch(name + ".bias", {size}), placement_);
  placed(with_suffixes({name}), 2 * size * static_cast<int64_t>(sizeof(float)));
  return layer;
}

at::Tensor Weights::tensor(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  const at::Tensor out = fetch(name, shape).to(placement_.device, dtype, false, true);
  placed({name}, static_cast<int64_t>(out.nbytes()));
  return out;
}

}  // namespace voxpod
