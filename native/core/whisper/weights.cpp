#include "whisper/weights.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace voxpod::whisper {

Weights::Weights(const Checkpoint& checkpoint, const Placement& placement,
                 std::function<void(double)> progress, CancellationPtr cancellation)
    : checkpoint_(checkpoint),
      placement_(placement),
      progress_(std::move(progress)),
      cancellation_(std::move(cancellation)) {
  // Names of both layouts may stand for the same bytes: count the ones that are asked for.
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (name.starts_with("encoder.") || name.starts_with("decoder.")) {
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

Weights::Pair Weights::stack(const std::vector<std::string>& names, int64_t out, int64_t in) {
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> biases;
  for (const std::string& name : names) {
    weights.push_back(checkpoint_.tensor(name + ".weight", {out, in}));
    biases.push_back(checkpoint_.contains(name + ".bias")
                         ? checkpoint_.tensor(name + ".bias", {out})
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

Linear Weights::convolution(const std::string& name, int64_t out, int64_t in, int64_t size) {
  const at::Tensor weight = checkpoint_.tensor(name + ".weight", {out, in, size})
                                .transpose(1, 2)
                                .reshape({out, size * in});
  Linear layer(weight, checkpoint_.tensor(name + ".bias", {out}), placement_);
  placed(with_suffixes({name}), layer.weight_bytes());
  return layer;
}

RowLinear Weights::embedding(const std::string& name, int64_t out, int64_t in) {
  RowLinear layer(checkpoint_.tensor(name + ".weight", {out, in}), {}, placement_);
  placed({name + ".weight"}, layer.weight_bytes());
  return layer;
}

LayerNorm Weights::norm(const std::string& name, int64_t size) {
  LayerNorm layer(checkpoint_.tensor(name + ".weight", {size}),
                  checkpoint_.tensor(name + ".bias", {size}), placement_);
  placed(with_suffixes({name}), 2 * size * static_cast<int64_t>(sizeof(float)));
  return layer;
}

at::Tensor Weights::tensor(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  const at::Tensor out = checkpoint_.tensor(name, shape).to(placement_.device, dtype, false, true);
  placed({name}, static_cast<int64_t>(out.nbytes()));
  return out;
}

}  // namespace voxpod::whisper
