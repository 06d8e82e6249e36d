#include "nn/cached_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "nn/huge_pages.h"

namespace voxpod {
namespace {

int64_t round_up(int64_t n) { return (n + cpu::kBlock - 1) / cpu::kBlock * cpu::kBlock; }

float scale_of(const AttentionShape& shape) {
  return 1 / std::sqrt(static_cast<float>(shape.head_size));
}

/// [rows, width] to [1, heads, rows, head].
at::Tensor split_heads(const at::Tensor& x, const AttentionShape& shape) {
  return x.view({x.size(0), shape.heads, shape.head_size}).transpose(0, 1).unsqueeze(0);
}

/// Scratch that lives as long as its thread: a step allocates nothing.
float* scratch(size_t floats) {
  thread_local std::vector<float> buffer;
  if (buffer.size() < floats) buffer.resize(floats);
  return buffer.data();
}

}  // namespace

SelfCache::SelfCache(const AttentionShape& shape, int64_t slots, int64_t context,
                     const Placement& placement)
    : shape_(shape), slots_(slots), context_(context), kernels_(placement.uses_kernels()) {
  if (kernels_) context_ = round_up(context);
  const auto options = at::TensorOptions(placement.activation()).device(placement.device);
  const std::vector<int64_t> sizes = {shape.layers, slots, shape.heads, context_, shape.head_size};
  // The generic path masks what is not written yet, so that must be finite there.
  keys_ = kernels_ ? at::empty(sizes, options) : at::zeros(sizes, options);
  values_ = kernels_ ? at::empty(sizes, options) : at::zeros(sizes, options);
}

at::Tensor SelfCache::attend(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                             const at::Tensor& value, std::span<const CachePosition> rows) {
  return kernels_ ? attend_kernels(layer, query, key, value, rows)
                  : attend_generic(layer, query, key, value, rows);
}

at::Tensor SelfCache::attend_kernels(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                                     const at::Tensor& value, std::span<const CachePosition> rows) {
  const int64_t width = shape_.width();
  const int64_t head = shape_.head_size;
  const int64_t per_head = context_ * head;
  const int64_t offset = layer * slots_ * shape_.heads * per_head;
  float* keys = keys_.data_ptr<float>() + offset;
  float* values = values_.data_ptr<float>() + offset;
  const auto cache_of = [&](size_t row, int64_t h) {
    return (rows[row].slot * shape_.heads + h) * per_head;
  };
  for (size_t row = 0; row < rows.size(); ++row) {
    const int64_t position = rows[row].position;
    const float* k = key.const_data_ptr<float>() + static_cast<int64_t>(row) * key.stride(0);
    const float* v = value.const_data_ptr<float>() + static_cast<int64_t>(row) * value.stride(0);
    for (int64_t h = 0; h < shape_.heads; ++h) {
      float* block = keys + cache_of(row, h) + position / cpu::kBlock * cpu::kBlock * head +
                     position % cpu::kBlock;
      for (int64_t d = 0; d < head; ++d) block[d * cpu::kBlock] = k[h * head + d];
      std::memcpy(values + cache_of(row, h) + position * head, v + h * head,
                  static_cast<size_t>(head) * sizeof(float));
    }
  }
  at::Tensor out = at::empty({query.size(0), width}, at::kFloat);
  float* to = out.data_ptr<float>();
  const auto& kernels = cpu::kernels();
  const int64_t tasks = static_cast<int64_t>(rows.size()) * shape_.heads;
  at::parallel_for(0, tasks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const auto row = static_cast<size_t>(task / shape_.heads);
      const int64_t h = task % shape_.heads;
      const int64_t length = rows[row].position + 1;
      kernels.attention({
          .query = query.const_data_ptr<float>() + static_cast<int64_t>(row) * query.stride(0) +
                   h * head,
          .query_stride = 0,
          .key = keys + cache_of(row, h),
          .value = values + cache_of(row, h),
          .storage = cpu::Storage::kFloat32,
          .out = to + static_cast<int64_t>(row) * width + h * head,
          .out_stride = 0,
          .scratch = scratch(static_cast<size_t>(round_up(length))),
          .rows = 1,
          .length = length,
          .head = head,
          .scale = scale_of(shape_),
      });
    }
  });
  return out;
}

at::Tensor SelfCache::attend_generic(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                                     const at::Tensor& value, std::span<const CachePosition> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  int64_t length = 0;
  std::vector<int64_t> slots;
  std::vector<int64_t> positions;
  bool prompt = count > 1;
  for (const CachePosition& row : rows) {
    slots.push_back(row.slot);
    positions.push_back(row.position);
    length = std::max(length, row.position + 1);
    prompt = prompt && row.slot == rows[0].slot;
  }
  const at::Device device = keys_.device();
  const at::Tensor slot = at::tensor(slots, at::kLong).to(device);
  const at::Tensor position = at::tensor(positions, at::kLong).to(device);
  at::Tensor keys = keys_.select(0, layer);
  at::Tensor values = values_.select(0, layer);
  const std::vector<int64_t> heads = {count, shape_.heads, shape_.head_size};
  keys.index_put_({slot, std::nullopt, position}, key.reshape(heads));
  values.index_put_({slot, std::nullopt, position}, value.reshape(heads));

  const at::Tensor seen = at::arange(length, at::TensorOptions(at::kLong).device(device))
                              .unsqueeze(0)
                              .le(position.unsqueeze(1));  // [rows, length]
  if (prompt) {  // one sequence: its cache is read once for all rows
    const at::Tensor out = at::scaled_dot_product_attention(
        split_heads(query.reshape({count, shape_.width()}), shape_),
        keys.narrow(0, slots[0], 1).narrow(2, 0, length),
        values.narrow(0, slots[0], 1).narrow(2, 0, length), seen);
    return out.squeeze(0).transpose(0, 1).reshape({count, shape_.width()});
  }
  const at::Tensor out = at::scaled_dot_product_attention(
      query.reshape(heads).unsqueeze(2), keys.index_select(0, slot).narrow(2, 0, length),
      values.index_select(0, slot).narrow(2, 0, length), seen.unsqueeze(1).unsqueeze(2));
  return out.reshape({count, shape_.width()});
}

void SelfCache::copy(int64_t from, int64_t to, int64_t length) {
  const int64_t used = kernels_ ? round_up(length) : length;  // a block of keys is whole
  for (at::Tensor* cache : {&keys_, &values_}) {
    cache->select(1, to).narrow(2, 0, used).copy_(cache->select(1, from).narrow(2, 0, used));
  }
}

CrossCache::CrossCache(const AttentionShape& shape, int64_t context, const Placement& placement)
    : shape_(shape), context_(context), kernels_(placement.uses_kernels()) {
  const auto options = at::TensorOptions(placement.dtype).device(placement.device);
  // The kernel computes scores for whole blocks and drops those behind the last position.
  const int64_t keys = kernels_ ? round_up(context) : context;
  keys_ = empty_huge({shape.layers, shape.heads, keys, shape.head_size}, options);
  values_ = empty_huge({shape.layers, shape.heads, context, shape.head_size}, options);
}

void CrossCache::set(int64_t layer, const at::Tensor& key_value) {
  const at::Tensor split =
      key_value.view({context_, 2, shape_.heads, shape_.head_size}).permute({1, 2, 0, 3});
  values_.select(0, layer).copy_(split.select(0, 1));
  at::Tensor keys = keys_.select(0, layer);
  if (!kernels_) {
    keys.copy_(split.select(0, 0));
    return;
  }
  // [heads, blocks, head, kBlock]: positions of a block side by side.
  at::Tensor blocks = keys.view({shape_.heads, -1, shape_.head_size, cpu::kBlock});
  const int64_t whole = context_ / cpu::kBlock;
  const at::Tensor source = split.select(0, 0);
  blocks.narrow(1, 0, whole)
      .copy_(source.narrow(1, 0, whole * cpu::kBlock)
                 .unflatten(1, {whole, cpu::kBlock})
                 .transpose(2, 3));
  if (const int64_t rest = context_ - whole * cpu::kBlock; rest > 0) {
    blocks.select(1, whole)
        .narrow(2, 0, rest)
        .copy_(source.narrow(1, whole * cpu::kBlock, rest).transpose(1, 2));
  }
}

at::Tensor CrossCache::attend(int64_t layer, const at::Tensor& query) const {
  const int64_t rows = query.size(0);
  const int64_t width = shape_.width();
  if (!kernels_) {
    const at::Tensor out = at::scaled_dot_product_attention(split_heads(query, shape_),
                                                            keys_.select(0, layer).unsqueeze(0),
                                                            values_.select(0, layer).unsqueeze(0));
    return out.squeeze(0).transpose(0, 1).reshape({rows, width});
  }
  at::Tensor out = at::empty({rows, width}, at::kFloat);
  const at::Tensor keys = keys_.select(0, layer);
  const at::Tensor values = values_.select(0, layer);
  const int64_t head = shape_.head_size;
  const auto& kernels = cpu::kernels();
  at::parallel_for(0, shape_.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      kernels.attention({
          .query = query.const_data_ptr<float>() + h * head,
          .query_stride = query.stride(0),
          .key = keys.select(0, h).const_data_ptr(),
          .value = values.select(0, h).const_data_ptr(),
          .storage =
              keys.scalar_type() == at::kFloat ? cpu::Storage::kFloat32 : cpu::Storage::kBFloat16,
          .out = out.data_ptr<float>() + h * head,
          .out_stride = width,
          .scratch = scratch(static_cast<size_t>(cpu::kMaxTile * round_up(context_))),
          .rows = rows,
          .length = context_,
          .head = head,
          .scale = scale_of(shape_),
      });
    }
  });
  return out;
}

}  // namespace voxpod
