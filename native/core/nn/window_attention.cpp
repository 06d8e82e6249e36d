#include "nn/window_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/tiles.h"
#include "nn/scratch.h"

namespace voxpod {
namespace {

/// Queries of a task, which has to be short beside the whole for threads to end together.
constexpr int64_t kQueriesTogether = 512;

void on_tiles(const at::Tensor& query_key_value, int64_t heads, at::Tensor& out) {
  const int64_t time = query_key_value.size(0);
  const int64_t width = query_key_value.size(1) / 3;
  const int64_t head = width / heads;
  const cpu::WindowAttentionArgs args = {
      .query_key_value = static_cast<const uint16_t*>(query_key_value.const_data_ptr()),
      .out = static_cast<uint16_t*>(out.data_ptr()),
      .time = time,
      .heads = heads,
      .head = head,
      .scale = 1 / std::sqrt(static_cast<float>(head)),
      .scratch = nullptr,
  };
  const uint16_t* keys = args.query_key_value + width;
  const int64_t packed = cpu::tile_head_bytes(cpu::TileWeight::kBFloat16, time, head);
  const auto bytes = static_cast<size_t>(packed + cpu::tile_window_bytes(head));
  // A head is packed by every thread that works on it.
  const int64_t parts = (time + kQueriesTogether - 1) / kQueriesTogether;
  const int64_t rows = cpu::panels_of((time + parts - 1) / parts) * cpu::kPanelRows;
  share_work(heads * parts, [&] {
    uint8_t* memory = scratch(bytes);
    return [&, memory, held = int64_t{-1}](int64_t task) mutable {
      const int64_t h = task / parts;
      if (held != h) {
        cpu::pack_head_tiles(cpu::TileWeight::kBFloat16, keys + h * head, keys + width + h * head,
                             3 * width, time, head, memory);
        held = h;
      }
      const int64_t first = std::min(task % parts * rows, time);
      cpu::window_attention_tiles(args, h, first, std::min(first + rows, time), memory,
                                  memory + packed);
    };
  });
}

void by_kernel(const at::Tensor& query_key_value, int64_t heads, at::Tensor& out) {
  const int64_t time = query_key_value.size(0);
  const int64_t width = query_key_value.size(1) / 3;
  const int64_t head = width / heads;
  const auto* from = static_cast<const uint16_t*>(query_key_value.const_data_ptr());
  auto* to = static_cast<uint16_t*>(out.data_ptr());
  // A head is packed anew for every task: it is split only where there are more threads.
  const int64_t parts = (at::get_num_threads() + heads - 1) / heads;
  const int64_t rows = ((time + parts - 1) / parts + 7) / 8 * 8;
  share_work(heads * parts, [&] {
    // Zeros: the packing does not write what lies behind the last position.
    thread_local std::vector<float> scratch;
    scratch.assign(static_cast<size_t>(cpu::window_attention_scratch(time, head) / 2 + 1), 0);
    return [&](int64_t task) {
      const int64_t first = task % parts * rows;
      cpu::window_attention_bf16(
          {
              .query_key_value = from,
              .out = to,
              .time = time,
              .heads = heads,
              .head = head,
              .scale = 1 / std::sqrt(static_cast<float>(head)),
              .scratch = reinterpret_cast<uint16_t*>(scratch.data()),
          },
          task / parts, std::min(first, time), std::min(first + rows, time));
    };
  });
}

}  // namespace

void window_attention(const at::Tensor& query_key_value, int64_t heads, const Placement& placement,
                      at::Tensor& out) {
  const int64_t head_size = query_key_value.size(1) / 3 / heads;
  if (placement.uses_tiles() && head_size % cpu::kBlock == 0) {
    on_tiles(query_key_value.contiguous(), heads, out);
    return;
  }
  if (placement.uses_kernels() && query_key_value.scalar_type() == at::kBFloat16 &&
      cpu::has_bfloat16_kernels() && head_size % cpu::kBlock == 0) {
    by_kernel(query_key_value.contiguous(), heads, out);
    return;
  }
  const int64_t time = query_key_value.size(0);
  // [time, 3, heads, head] to three of [1, heads, time, head]
  const at::Tensor split =
      query_key_value.view({time, 3, heads, head_size}).permute({1, 2, 0, 3}).unsqueeze(1);
  out.view({time, heads, head_size})
      .copy_(at::scaled_dot_product_attention(split.select(0, 0), split.select(0, 1),
                                              split.select(0, 2))
                 .squeeze(0)
                 .transpose(0, 1));
}

at::Tensor window_attention(const at::Tensor& query_key_value, int64_t heads,
                            const Placement& placement) {
  at::Tensor out =
      at::empty({query_key_value.size(0), query_key_value.size(1) / 3}, query_key_value.options());
  window_attention(query_key_value, heads, placement, out);
  return out;
}

}  // namespace voxpod
