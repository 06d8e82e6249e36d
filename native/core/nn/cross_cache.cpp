#include "nn/cross_cache.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <vector>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/tiles.h"
#include "nn/huge_pages.h"
#include "nn/scratch.h"
#include "nn/storage.h"

namespace voxpod {
namespace {

/// Rows of one group at most: those of a tile.
constexpr int64_t kGroupRows = 16;

}  // namespace

CrossCache::CrossCache(const AttentionShape& shape, int64_t context, const Placement& placement)
    : shape_(shape),
      context_(context),
      kernels_(placement.uses_kernels()),
      tiles_(placement.uses_tiles()),
      type_(placement.int8 ? cpu::TileWeight::kInt8 : cpu::TileWeight::kBFloat16) {
  if (tiles_) {
    packed_ = empty_huge(
        {shape.layers, shape.heads, cpu::tile_head_bytes(type_, context, shape.head_size)},
        at::kByte);
    return;
  }
  const auto options = at::TensorOptions(placement.dtype).device(placement.device);
  // The kernel computes scores for whole blocks and drops those behind the last position.
  const int64_t keys = kernels_ ? round_to_block(context) : context;
  keys_ = empty_huge({shape.layers, shape.heads, keys, shape.head_size}, options);
  values_ = empty_huge({shape.layers, shape.heads, context, shape.head_size}, options);
}

const uint8_t* CrossCache::packed_head(int64_t layer, int64_t head) const {
  return packed_.const_data_ptr<uint8_t>() + (layer * shape_.heads + head) * packed_.size(2);
}

void CrossCache::set(int64_t layer, const at::Tensor& key_value) {
  if (tiles_) {
    const auto* from = static_cast<const uint16_t*>(key_value.const_data_ptr());
    const int64_t width = shape_.width();
    share_range(shape_.heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t h = begin; h < end; ++h) {
        const uint16_t* keys = from + h * shape_.head_size;
        cpu::pack_head_tiles(type_, keys, keys + width, 2 * width, context_, shape_.head_size,
                             const_cast<uint8_t*>(packed_head(layer, h)));
      }
    });
    return;
  }
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

at::Tensor CrossCache::attend(int64_t layer, const at::Tensor& query,
                              std::span<const CrossCache* const> windows) {
  const CrossCache& any = *windows[0];
  std::vector<Group> groups;
  for (int64_t row = 0; row < query.size(0); ++row) {
    const CrossCache* window = windows[static_cast<size_t>(row)];
    if (groups.empty() || groups.back().window != window ||
        (any.tiles_ && groups.back().rows == kGroupRows)) {
      groups.push_back({.window = window, .first = row, .rows = 0});
    }
    ++groups.back().rows;
  }
  if (!any.kernels_) {
    std::vector<at::Tensor> parts;
    for (const Group& group : groups) {
      parts.push_back(
          group.window->attend_generic(layer, query.narrow(0, group.first, group.rows)));
    }
    return parts.size() == 1 ? parts[0] : at::cat(parts);
  }
  at::Tensor out = at::empty({query.size(0), any.shape_.width()}, at::kFloat);
  const int64_t heads = any.shape_.heads;
  share_work(static_cast<int64_t>(groups.size()) * heads, [&] {
    return [&](int64_t task) {
      const Group& group = groups[static_cast<size_t>(task / heads)];
      group.window->attend_head(layer, task % heads, group, query, out);
    };
  });
  return out;
}

void CrossCache::attend_head(int64_t layer, int64_t head, const Group& group,
                             const at::Tensor& query, at::Tensor& out) const {
  const int64_t size = shape_.head_size;
  const float* from = query.const_data_ptr<float>() + group.first * query.stride(0) + head * size;
  float* to = out.data_ptr<float>() + group.first * shape_.width() + head * size;
  if (tiles_) {
    cpu::cross_attention_tiles(
        {
            .query = from,
            .query_stride = query.stride(0),
            .type = type_,
            .packed = packed_head(layer, head),
            .out = to,
            .out_stride = shape_.width(),
            .rows = group.rows,
            .time = context_,
            .head = size,
            .scale = shape_.scale(),
        },
        scratch(static_cast<size_t>(cpu::tile_scores_bytes(context_))));
    return;
  }
  const auto floats = static_cast<size_t>(cpu::kMaxTile * round_to_block(context_));
  cpu::kernels().attention({
      .query = from,
      .query_stride = query.stride(0),
      .key = keys_.select(0, layer).select(0, head).const_data_ptr(),
      .value = values_.select(0, layer).select(0, head).const_data_ptr(),
      .block_stride = size * cpu::kBlock,
      .pages = nullptr,
      .storage = storage_of(keys_),
      .out = to,
      .out_stride = shape_.width(),
      .scratch = reinterpret_cast<float*>(scratch(floats * sizeof(float))),
      .rows = group.rows,
      .length = context_,
      .causal = false,
      .head = size,
      .scale = shape_.scale(),
  });
}

at::Tensor CrossCache::attend_generic(int64_t layer, const at::Tensor& query) const {
  const at::Tensor out =
      at::scaled_dot_product_attention(shape_.split(query), keys_.select(0, layer).unsqueeze(0),
                                       values_.select(0, layer).unsqueeze(0));
  return out.squeeze(0).transpose(0, 1).reshape({query.size(0), shape_.width()});
}

at::Tensor CrossCache::probabilities(int64_t layer, int64_t head, const at::Tensor& query,
                                     int64_t context) const {
  const int64_t size = shape_.head_size;
  at::Tensor keys;
  if (tiles_) {
    keys = at::empty({context, size}, at::kFloat);
    for (int64_t t = 0; t < context; ++t) {
      cpu::unpack_key(type_, packed_head(layer, head), context_, size, t,
                      keys.data_ptr<float>() + t * size);
    }
  } else {
    keys = keys_.select(0, layer).select(0, head);
    if (kernels_) {  // blocks of [head, kBlock]
      keys = keys.view({-1, size, cpu::kBlock}).transpose(1, 2).reshape({-1, size});
    }
  }
  const at::Tensor own = query.narrow(1, head * size, size);
  return at::softmax(at::matmul(own.to(at::kFloat), keys.narrow(0, 0, context).to(at::kFloat).t())
                         .mul_(shape_.scale()),
                     1);
}

}  // namespace voxpod
