#include "f5/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"
#include "nn/storage.h"
#include "nn/window_attention.h"

namespace voxpod::f5 {
namespace {

constexpr double kBase = 10000;
constexpr double kEpsilon = 1e-6;

}  // namespace

void RotaryTable::reach(int64_t positions, at::Device device) {
  if (cosines_.defined() && cosines_.size(0) >= positions) return;
  const int64_t size = (positions + 1023) / 1024 * 1024;
  const at::Tensor exponents = at::arange(0, head_, 2, at::kFloat).div_(static_cast<double>(head_));
  const at::Tensor frequencies = at::pow(at::Scalar(kBase), exponents).reciprocal_();
  const at::Tensor angles = at::outer(at::arange(size, at::kFloat), frequencies);
  const auto twice = [&](const at::Tensor& first, const at::Tensor& second) {
    return at::stack({first, second}, 2).flatten(1).to(device);
  };
  const at::Tensor cosines = angles.cos();
  const at::Tensor sines = angles.sin();
  cosines_ = twice(cosines, cosines);
  sines_ = twice(sines.neg(), sines);
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

/// query_key_value [rows, 3 * heads * head] of one sequence, in place.
void Attention::rotate(const at::Tensor& query_key_value, const RotaryTable& rotary) const {
  const int64_t rows = query_key_value.size(0);
  const at::Tensor query_key = query_key_value.view({rows, 3, heads_, head_}).narrow(1, 0, 2);
  if (query_norm_.defined()) {
    const at::Tensor wide = query_key.to(at::kFloat);
    const at::Tensor scale = wide.square().mean(3, true).add_(kEpsilon).rsqrt_();
    query_key.copy_(
        wide.mul(scale).mul_(at::stack({query_norm_, key_norm_}).unsqueeze(1).unsqueeze(0)));
  }
  const at::Tensor turned = query_key.narrow(2, 0, rotated_);
  const at::Tensor wide = turned.to(at::kFloat).contiguous();
  const at::Tensor swapped = wide.view({rows, 2, rotated_, head_ / 2, 2}).flip(4).flatten(3);
  const auto table = [&](const at::Tensor& all) {
    return all.narrow(0, 0, rows).view({rows, 1, 1, head_});
  };
  turned.copy_(wide.mul(table(rotary.cosines())).add_(swapped.mul(table(rotary.sines()))));
}

void Attention::rotate_by_kernel(const at::Tensor& query_key_value,
                                 const RotaryTable& rotary) const {
  const int64_t width = heads_ * head_;
  const auto bytes = static_cast<int64_t>(query_key_value.element_size());
  auto* data = static_cast<uint8_t*>(query_key_value.data_ptr());
  const auto& kernels = cpu::kernels();
  share_range(query_key_value.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (const bool key : {false, true}) {
        const at::Tensor& norm = key ? key_norm_ : query_norm_;
        kernels.rotate({
            .x = data + (row * 3 + (key ? 1 : 0)) * width * bytes,
            .storage = storage_of(query_key_value),
            .norm = norm.defined() ? norm.const_data_ptr<float>() : nullptr,
            .cosines = rotary.cosines().const_data_ptr<float>() + row * head_,
            .sines = rotary.sines().const_data_ptr<float>() + row * head_,
            .heads = norm.defined() ? heads_ : rotated_,
            .rotated = rotated_,
            .head = head_,
        });
      }
    }
  });
}

at::Tensor Attention::forward(const at::Tensor& x, std::span<const Sequence> sequences,
                              const RotaryTable& rotary) const {
  const at::Tensor qkv = apply(query_key_value_, x, sequences, placement_);
  at::Tensor attended = at::empty({qkv.size(0), heads_ * head_}, qkv.options());
  for (const Sequence& sequence : sequences) {
    const at::Tensor own = qkv.narrow(0, sequence.first, sequence.rows);
    if (placement_.uses_kernels() && head_ % 16 == 0) {
      rotate_by_kernel(own, rotary);
    } else {
      rotate(own, rotary);
    }
    at::Tensor to = attended.narrow(0, sequence.first, sequence.rows);
    window_attention(own, heads_, placement_, to);
  }
  return apply(out_, attended, sequences, placement_);
}

}  // namespace voxpod::f5
