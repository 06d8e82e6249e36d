#include "f5/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>

#include "nn/window_attention.h"

namespace voxpod::f5 {
namespace {

constexpr double kBase = 10000;
constexpr double kEpsilon = 1e-6;

}  // namespace

void RotaryTable::reach(int64_t positions, at::Device device) {
  if (cosines_.defined() && cosines_.size(0) >= positions) return;
  const int64_t size = (positions + 1023) / 1024 * 1024;
  const at::Tensor exponents =
      at::arange(0, head_, 2, at::kFloat).div_(static_cast<double>(head_));
  const at::Tensor frequencies = at::pow(at::Scalar(kBase), exponents).reciprocal_();
  const at::Tensor angles = at::outer(at::arange(size, at::kFloat), frequencies);
  cosines_ = angles.cos().to(device);
  sines_ = angles.sin().to(device);
}

Attention::Attention(Weights& weights, const Geometry& geometry, const std::string& at)
    : placement_(weights.placement()),
      heads_(geometry.heads),
      head_(geometry.head),
      rotated_(geometry.architecture.rotary_first_head ? 1 : geometry.heads),
      query_key_value_(weights.linear({at + ".to_q", at + ".to_k", at + ".to_v"},
                                      geometry.attention_width(), geometry.width)) {
  if (geometry.query_key_norm) {
    query_norm_ = weights.tensor(at + ".q_norm.weight", {head_}, at::kFloat);
    key_norm_ = weights.tensor(at + ".k_norm.weight", {head_}, at::kFloat);
  }
  out_ = weights.linear({at + ".to_out.0"}, geometry.width, geometry.attention_width());
}

/// query_key [rows, 2, heads, head] of one sequence, in place.
void Attention::rotate(at::Tensor& query_key, const RotaryTable& rotary) const {
  const int64_t rows = query_key.size(0);
  if (query_norm_.defined()) {
    const at::Tensor wide = query_key.to(at::kFloat);
    const at::Tensor scale = wide.square().mean(3, true).add_(kEpsilon).rsqrt_();
    query_key.copy_(
        wide.mul(scale).mul_(at::stack({query_norm_, key_norm_}).unsqueeze(1).unsqueeze(0)));
  }
  at::Tensor turned = query_key.narrow(2, 0, rotated_);
  const at::Tensor pairs = turned.to(at::kFloat).view({rows, 2, rotated_, head_ / 2, 2});
  const auto angles = [&](const at::Tensor& table) {
    return table.narrow(0, 0, rows).view({rows, 1, 1, head_ / 2});
  };
  const at::Tensor cosines = angles(rotary.cosines());
  const at::Tensor sines = angles(rotary.sines());
  const at::Tensor first = pairs.select(4, 0);
  const at::Tensor second = pairs.select(4, 1);
  turned.copy_(at::stack({first.mul(cosines).sub_(second.mul(sines)),
                          second.mul(cosines).add_(first.mul(sines))},
                         4)
                   .flatten(3));
}

at::Tensor Attention::forward(const at::Tensor& x, std::span<const Sequence> sequences,
                              const RotaryTable& rotary) const {
  const at::Tensor qkv = query_key_value_.forward(x);
  std::vector<at::Tensor> parts;
  for (const Sequence& sequence : sequences) {
    const at::Tensor own = qkv.narrow(0, sequence.first, sequence.rows);
    at::Tensor query_key = own.view({sequence.rows, 3, heads_, head_}).narrow(1, 0, 2);
    rotate(query_key, rotary);
    parts.push_back(window_attention(own, heads_, placement_));
  }
  return out_.forward(parts.size() == 1 ? parts[0] : at::cat(parts));
}

}  // namespace voxpod::f5
