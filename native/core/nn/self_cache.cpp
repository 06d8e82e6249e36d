#include "nn/self_cache.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/work_shares.h"
#include "error.h"
#include "kernels/cpu/dispatch.h"
#include "nn/scratch.h"

namespace voxpod {
namespace {

/// Rows that follow each other in one sequence: keys and values are read once for all of them.
struct Run {
  int64_t first;
  int64_t rows;
  const CachePosition* last;
};

std::vector<Run> runs_of(std::span<const CachePosition> rows) {
  std::vector<Run> runs;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!runs.empty() && runs.back().rows < cpu::kMaxTile &&
        runs.back().last->pages == rows[i].pages &&
        runs.back().last->position + 1 == rows[i].position) {
      ++runs.back().rows;
      runs.back().last = &rows[i];
    } else {
      runs.push_back({.first = static_cast<int64_t>(i), .rows = 1, .last = &rows[i]});
    }
  }
  return runs;
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

int64_t SelfCache::pages_for(int64_t tokens) { return round_to_block(tokens) / cpu::kBlock; }

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
  const std::vector<Run> runs = runs_of(rows);
  share_work(static_cast<int64_t>(runs.size()) * shape_.heads, [&] {
    return [&](int64_t task) {
      const Run& run = runs[static_cast<size_t>(task / shape_.heads)];
      const int64_t h = task % shape_.heads;
      const int64_t length = run.last->position + 1;
      const auto numbers = static_cast<size_t>(run.rows * round_to_block(length));
      kernels.attention({
          .query = query.const_data_ptr<float>() + run.first * query.stride(0) + h * head,
          .query_stride = query.stride(0),
          .key = keys + h * per_head,
          .value = values + h * per_head,
          .block_stride = per_page,
          .pages = run.last->pages->data(),
          .storage = cpu::Storage::kFloat32,
          .out = to + run.first * width + h * head,
          .out_stride = width,
          .scratch = reinterpret_cast<float*>(scratch(numbers * sizeof(float))),
          .rows = run.rows,
          .length = length,
          .causal = true,
          .head = head,
          .scale = shape_.scale(),
      });
    };
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
    const at::Tensor out =
        at::scaled_dot_product_attention(shape_.split(query), keys, values, seen);
    return out.squeeze(0).transpose(0, 1).reshape({count, shape_.width()});
  }
  const at::Tensor out = at::scaled_dot_product_attention(query.reshape(heads).unsqueeze(2), keys,
                                                          values, seen.unsqueeze(1).unsqueeze(2));
  return out.reshape({count, shape_.width()});
}

}  // namespace voxpod
