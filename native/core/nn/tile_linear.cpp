#include "nn/tile_linear.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "engine/work_shares.h"
#include "nn/huge_pages.h"
#include "nn/scratch.h"
#include "nn/storage.h"

namespace voxpod {
namespace {

/// Below it, threads share the packed rows and each takes columns, so that every weight is read
/// once; above, each takes rows.
constexpr int64_t kFewRows = 256;

/// Panels that a thread keeps packed in its second-level cache while the weights pass by, so that
/// these come from farther away only once for all of them.
constexpr int64_t kPanelsTogether = 12;
constexpr int64_t kPackedBytes = 1 << 20;
/// Blocks of columns of a task with them: some 0.2 ms.
constexpr int64_t kBlocksTogether = 16;
/// Weights of a task with few rows, in bytes.
constexpr int64_t kStreamBytes = 128 << 10;

int64_t blocks_of(const cpu::TileLinearArgs& args) {
  return (args.columns + cpu::kBlock - 1) / cpu::kBlock;
}

void run_many(const cpu::TileLinearArgs& args) {
  const int64_t bytes = cpu::panel_bytes(args);
  const int64_t panels = cpu::panels_of(args.rows);
  const int64_t most = std::clamp<int64_t>(kPackedBytes / bytes, 1, kPanelsTogether);
  const int64_t groups = (panels + most - 1) / most;
  const int64_t blocks = blocks_of(args);
  const int64_t parts = (blocks + kBlocksTogether - 1) / kBlocksTogether;
  share_work(groups * parts, [&] {
    uint8_t* packed = scratch(static_cast<size_t>(most * bytes));
    return [&, packed, held = int64_t{-1}](int64_t task) mutable {
      const int64_t group = task / parts;
      const int64_t first = panels * group / groups;
      const int64_t last = panels * (group + 1) / groups;
      if (held != group) {
        for (int64_t panel = first; panel < last; ++panel) {
          cpu::pack_panel(args, panel, packed + (panel - first) * bytes);
        }
        held = group;
      }
      const int64_t part = task % parts;
      cpu::tile_linear(args, first, last, packed, blocks * part / parts,
                       blocks * (part + 1) / parts);
    };
  });
}

void run_few(const cpu::TileLinearArgs& args) {
  const int64_t bytes = cpu::panel_bytes(args);
  const int64_t panels = cpu::panels_of(args.rows);
  uint8_t* packed = scratch(static_cast<size_t>(panels * bytes));
  for (int64_t panel = 0; panel < panels; ++panel) {
    cpu::pack_panel(args, panel, packed + panel * bytes);
  }
  const int64_t block_bytes = cpu::tile_steps(args.type, args.inner) * 2 * cpu::kTileBytes;
  share_range(
      blocks_of(args), std::max<int64_t>(kStreamBytes / block_bytes, 1),
      [&](int64_t begin, int64_t end) { cpu::tile_linear(args, 0, panels, packed, begin, end); });
}

}  // namespace

TileLinear::TileLinear(const at::Tensor& weight, const at::Tensor& bias, cpu::TileWeight type)
    : type_(type), inner_(weight.size(1)), columns_(weight.size(0)) {
  const int64_t blocks = (columns_ + cpu::kBlock - 1) / cpu::kBlock;
  weight_ = empty_huge({cpu::tile_weight_bytes(type, columns_, inner_)}, at::kByte);
  if (type == cpu::TileWeight::kInt8) scale_ = at::zeros({blocks * cpu::kBlock}, at::kFloat);
  bias_ = at::zeros({blocks * cpu::kBlock}, at::kFloat);
  if (bias.defined()) bias_.narrow(0, 0, columns_).copy_(bias);
  const at::Tensor source = weight.contiguous();
  float* scale = scale_.defined() ? scale_.data_ptr<float>() : nullptr;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    cpu::pack_tile_weight(type, source.const_data_ptr(), storage_of(source), columns_, inner_,
                          begin, end, weight_.data_ptr(), scale);
  });
}

void TileLinear::run(const at::Tensor& x, at::Tensor& out, bool wide,
                     cpu::Epilogue epilogue) const {
  const int64_t rows = x.size(0);
  const cpu::TileLinearArgs args = {
      .x = x.const_data_ptr(),
      .stride = x.stride(0),
      .input = storage_of(x),
      .wide = wide,
      .type = type_,
      .weight = weight_.const_data_ptr(),
      .scale = scale_.defined() ? scale_.const_data_ptr<float>() : nullptr,
      .bias = bias_.const_data_ptr<float>(),
      .out = out.data_ptr(),
      .output = storage_of(out),
      .rows = rows,
      .inner = inner_,
      .columns = columns_,
      .epilogue = epilogue,
      .streamed = rows <= kFewRows,
  };
  if (rows > kFewRows) {
    run_many(args);
  } else {
    run_few(args);
  }
}

void TileLinear::row(int64_t index, float* out) const {
  cpu::unpack_tile_row(type_, weight_.const_data_ptr(),
                       scale_.defined() ? scale_.const_data_ptr<float>() : nullptr, inner_, index,
                       out);
}

}  // namespace voxpod
