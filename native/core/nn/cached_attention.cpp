#include "nn/cached_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "error.h"
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

SelfCache::SelfCache(const AttentionShape& shape, int64_t pages, const Placement& placement)
    : shape_(shape), kernels_(placement.uses_kernels()), users_(static_cast<size_t>(pages)) {
  const auto options = at::TensorOptions(placement.activation()).device(placement.device);
  const std::vector<int64_t> sizes = {shape.layers, pages, shape.heads, cpu::kBlock,
                                      shape.head_size};
  // The generic path masks what is not written yet, so that must be finite there.
  keys_ = kernels_ ? at::empty(sizes, options) : at::zeros(sizes, options);
  values_ = kernels_ ? at::empty(sizes, options) : at::zeros(sizes, options);
  for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

int64_t SelfCache::pages_for(int64_t tokens) { return round_up(tokens) / cpu::kBlock; }

int32_t SelfCache::take() {
  if (free_.empty()) fail(ErrorCode::kNativeFailure, "The decoder's cache has no page left");
  const int32_t page = free_.back();
  free_.pop_back();
  users_[static_cast<size_t>(page)] = 1;
  return page;
}

void SelfCache::prepare(CachePages& pages, int64_t position, int64_t length) {
  for (auto i = static_cast<size_t>(position / cpu::kBlock); i < pages.size(); ++i) {
    const int32_t shared = pages[i];
    if (users_[static_cast<size_t>(shared)] == 1) continue;
    pages[i] = take();
    --users_[static_cast<size_t>(shared)];
    for (at::Tensor* cache : {&keys_, &values_}) {
      cache->select(1, pages[i]).copy_(cache->select(1, shared));
    }
  }
  while (static_cast<int64_t>(pages.size()) < pages_for(length)) pages.push_back(take());
}

CachePages SelfCache::share(const CachePages& pages) {
  for (const int32_t page : pages) ++users_[static_cast<size_t>(page)];
  return pages;
}

void SelfCache::release(CachePages& pages) {
  for (const int32_t page : pages) {
    if (--users_[static_cast<size_t>(page)] == 0) free_.push_back(page);
  }
  pages.clear();
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
  const int64_t per_head = cpu::kBlock * head;
  const int64_t per_page = shape_.heads * per_head;
  const int64_t offset = layer * static_cast<int64_t>(users_.size()) * per_page;
  float* keys = keys_.data_ptr<float>() + offset;
  float* values = values_.data_ptr<float>() + offset;
  for (size_t row = 0; row < rows.size(); ++row) {
    const auto& [pages, position] = rows[row];
    const int64_t page = (*pages)[static_cast<size_t>(position / cpu::kBlock)];
    const int64_t within = position % cpu::kBlock;
    const float* k = key.const_data_ptr<float>() + static_cast<int64_t>(row) * key.stride(0);
    const float* v = value.const_data_ptr<float>() + static_cast<int64_t>(row) * value.stride(0);
    for (int64_t h = 0; h < shape_.heads; ++h) {
      const int64_t at = page * per_page + h * per_head;
      float* block = keys + at + within;
      for (int64_t d = 0; d < head; ++d) block[d * cpu::kBlock] = k[h * head + d];
      std::memcpy(values + at + within * head, v + h * head,
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
          .key = keys + h * per_head,
          .value = values + h * per_head,
          .block_stride = per_page,
          .pages = rows[row].pages->data(),
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
  bool prompt = count > 1;
  std::vector<int64_t> written;  // pages
  std::vector<int64_t> within;
  std::vector<int64_t> positions;
  for (const auto& [pages, position] : rows) {
    written.push_back((*pages)[static_cast<size_t>(position / cpu::kBlock)]);
    within.push_back(position % cpu::kBlock);
    positions.push_back(position);
    length = std::max(length, position + 1);
    prompt = prompt && pages == rows[0].pages;
  }
  // A prompt's pages are read once for all its rows.
  std::vector<int64_t> read;
  const int64_t depth = pages_for(length);
  for (size_t row = 0; row < (prompt ? 1 : rows.size()); ++row) {
    for (int64_t i = 0; i < depth; ++i) {
      const CachePages& pages = *rows[row].pages;
      // Behind a shorter sequence anything will do, it is masked.
      read.push_back(pages[std::min(static_cast<size_t>(i), pages.size() - 1)]);
    }
  }
  const at::Device device = keys_.device();
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(device);
  };
  const at::Tensor position = on_device(positions);
  const std::vector<int64_t> heads = {count, shape_.heads, shape_.head_size};
  const auto store_and_read = [&](const at::Tensor& cache, const at::Tensor& rows_of) {
    const at::Tensor own = cache.select(0, layer);
    own.index_put_({on_device(written), std::nullopt, on_device(within)}, rows_of.reshape(heads));
    return own.index_select(0, on_device(read))
        .view({-1, depth, shape_.heads, cpu::kBlock, shape_.head_size})
        .transpose(1, 2)
        .reshape({-1, shape_.heads, depth * cpu::kBlock, shape_.head_size})
        .narrow(2, 0, length);
  };
  const at::Tensor keys = store_and_read(keys_, key);
  const at::Tensor values = store_and_read(values_, value);
  const at::Tensor seen = at::arange(length, at::TensorOptions(at::kLong).device(device))
                              .unsqueeze(0)
                              .le(position.unsqueeze(1));  // [rows, length]
  if (prompt) {
    const at::Tensor out = at::scaled_dot_product_attention(
        split_heads(query.reshape({count, shape_.width()}), shape_), keys, values, seen);
    return out.squeeze(0).transpose(0, 1).reshape({count, shape_.width()});
  }
  const at::Tensor out = at::scaled_dot_product_attention(query.reshape(heads).unsqueeze(2), keys,
                                                          values, seen.unsqueeze(1).unsqueeze(2));
  return out.reshape({count, shape_.width()});
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
          .block_stride = head * cpu::kBlock,
          .pages = nullptr,
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

at::Tensor CrossCache::probabilities(int64_t layer, int64_t head, const at::Tensor& query,
                                     int64_t context) const {
  at::Tensor keys = keys_.select(0, layer).select(0, head);
  if (kernels_) {  // blocks of [head, kBlock]
    keys = keys.view({-1, shape_.head_size, cpu::kBlock})
               .transpose(1, 2)
               .reshape({-1, shape_.head_size});
  }
  const at::Tensor own = query.narrow(1, head * shape_.head_size, shape_.head_size);
  return at::softmax(at::matmul(own.to(at::kFloat), keys.narrow(0, 0, context).to(at::kFloat).t())
                         .mul_(scale_of(shape_)),
                     1);
}

}  // namespace voxpod
