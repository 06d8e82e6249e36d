#include "nn/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "engine/work_shares.h"
#include "kernels/cpu/dispatch.h"
#include "nn/huge_pages.h"
#include "nn/storage.h"

namespace voxpod {
namespace {

constexpr int64_t kMinPrompt = 8;
constexpr int64_t kPackRows = 64 * cpu::kBlock;

// oneDNN's prepacked linear layer, which torch registers for its compiler
// (aten/src/ATen/native/mkldnn/Linear.cpp and RegisterMkldnnOpContextClass.cpp).
at::Tensor pack_for_onednn(const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                             .typed<at::Tensor(const at::Tensor&, std::optional<int64_t>)>();
  return op.call(weight, std::nullopt);
}

/// What ATen calls it.
const char* approximation(Activation activation) {
  return activation == Activation::kGeluTanh ? "tanh" : "none";
}

at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias, Activation activation) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                            std::string_view, c10::List<std::optional<at::Scalar>>,
                            std::optional<std::string_view>)>();
  const bool gelu = activation != Activation::kNone;
  return op.call(x, weight, bias, gelu ? "gelu" : "none", c10::List<std::optional<at::Scalar>>(),
                 gelu ? std::optional<std::string_view>(approximation(activation)) : std::nullopt);
}

std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

cpu::Epilogue epilogue_of(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return cpu::Epilogue::kGelu;
    case Activation::kGeluTanh:
      return cpu::Epilogue::kGeluTanh;
    case Activation::kNone:
      break;
  }
  return cpu::Epilogue::kNone;
}

}  // namespace

Linear::Linear(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement) {
  if (placement.uses_tiles()) {
    tiles_ = TileLinear(weight, bias, cpu::TileWeight::kBFloat16);
    bytes_ = tiles_.bytes();
    return;
  }
  weight_ = weight.to(placement.device, placement.dtype, false, true);
  if (bias.defined()) bias_ = bias.to(placement.device, placement.dtype, false, true);
  bytes_ = static_cast<int64_t>(weight_.nbytes());
  packed_ = placement.device.is_cpu();
  if (packed_) weight_ = pack_for_onednn(weight_);
}

at::Tensor Linear::forward(const at::Tensor& x, Activation activation) const {
  if (tiles_.defined()) {
    at::Tensor out = at::empty({x.size(0), tiles_.columns()}, at::kBFloat16);
    tiles_.run(x, out, false, epilogue_of(activation));
    return out;
  }
  if (packed_) return onednn_linear(x.contiguous(), weight_, optional(bias_), activation);
  at::Tensor out = at::linear(x, weight_, optional(bias_));
  return activation == Activation::kNone ? out : at::gelu(out, approximation(activation));
}

void Linear::add_to(at::Tensor& sum, const at::Tensor& x) const {
  if (tiles_.defined()) {
    tiles_.run(x, sum, false, cpu::Epilogue::kAdd);
  } else {
    sum.add_(forward(x));
  }
}

RowLinear::RowLinear(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement)
    : columns_(weight.size(0)), kernels_(placement.uses_kernels()) {
  if (placement.uses_tiles()) {
    tiles_ = TileLinear(weight, bias,
                        placement.int8 ? cpu::TileWeight::kInt8 : cpu::TileWeight::kBFloat16);
    return;
  }
  if (!kernels_) {
    weight_ = weight.to(placement.device, placement.dtype, false, true);
    if (bias.defined()) bias_ = bias.to(placement.device, placement.dtype, false, true);
    return;
  }
  const auto storage = placement.int8                  ? at::kChar
                       : placement.dtype == at::kFloat ? at::kFloat
                                                       : at::kHalf;
  const int64_t padding = (cpu::kBlock - columns_ % cpu::kBlock) % cpu::kBlock;
  const int64_t inner = weight.size(1);
  weight_ = empty_huge({(columns_ + padding) / cpu::kBlock, inner, cpu::kBlock},
                       at::TensorOptions(storage));
  bias_ = at::zeros({columns_ + padding}, at::kFloat);
  if (bias.defined()) bias_.narrow(0, 0, columns_).copy_(bias);
  if (placement.int8) scale_ = at::zeros({columns_ + padding}, at::kFloat);
  // In parts: converting a vocabulary's embedding whole would hold it twice.
  for (int64_t first = 0; first < columns_; first += kPackRows) {
    const int64_t rows = std::min(kPackRows, columns_ - first);
    at::Tensor part = weight.narrow(0, first, rows);
    if (placement.int8) {
      part = part.to(at::kFloat);
      const at::Tensor scale = part.abs().amax(1).div_(127);
      scale_.narrow(0, first, rows).copy_(scale);
      part = part.div(scale.clamp_min(1e-30).unsqueeze(1)).round_();
    }
    part = part.to(storage);
    if (first + kPackRows >= columns_) part = at::constant_pad_nd(part, {0, 0, 0, padding});
    const int64_t blocks = part.size(0) / cpu::kBlock;
    weight_.narrow(0, first / cpu::kBlock, blocks)
        .copy_(part.view({blocks, cpu::kBlock, inner}).transpose(1, 2));
  }
}

void RowLinear::run(const at::Tensor& x, at::Tensor& out, RowKind kind,
                    cpu::Epilogue epilogue) const {
  if (tiles_.defined()) {
    tiles_.run(x.contiguous(), out, true, epilogue);
    return;
  }
  const cpu::LinearArgs args = {
      .x = x.const_data_ptr<float>(),
      .weight = weight_.const_data_ptr(),
      .storage = storage_of(weight_),
      .scale = scale_.defined() ? scale_.const_data_ptr<float>() : nullptr,
      .bias = bias_.const_data_ptr<float>(),
      .out = out.data_ptr<float>(),
      .rows = x.size(0),
      .inner = weight_.size(1),
      .columns = columns_,
      .epilogue = epilogue,
  };
  // Below a handful of rows reading the weights is what takes the time.
  if (kind == RowKind::kPrompt && args.rows >= kMinPrompt && args.inner % 2 == 0 &&
      args.storage == cpu::Storage::kFloat16 && cpu::has_bfloat16_kernels()) {
    const at::Tensor narrow = x.to(at::kBFloat16).contiguous();
    share_range(weight_.size(0), 4, [&](int64_t begin, int64_t end) {
      std::vector<uint16_t> scratch(static_cast<size_t>(args.inner * cpu::kBlock));
      cpu::prompt_linear_bf16(args, static_cast<const uint16_t*>(narrow.const_data_ptr()),
                              scratch.data(), begin, end);
    });
    return;
  }
  const auto& kernels = cpu::kernels();
  // Blocks of about 128 KB.
  const int64_t block_bytes =
      args.inner * cpu::kBlock * static_cast<int64_t>(weight_.element_size());
  share_range(weight_.size(0), std::max<int64_t>((128 << 10) / block_bytes, 1),
              [&](int64_t begin, int64_t end) { kernels.linear(args, begin, end); });
}

at::Tensor RowLinear::forward(const at::Tensor& x, RowKind kind, Activation activation) const {
  if (!kernels_) {
    at::Tensor out = at::linear(x, weight_, optional(bias_));
    return activation == Activation::kGelu ? at::gelu(out) : out;
  }
  at::Tensor out = at::empty({x.size(0), columns_}, at::kFloat);
  run(x, out, kind, epilogue_of(activation));
  return out;
}

void RowLinear::add_to(at::Tensor& sum, const at::Tensor& x, RowKind kind) const {
  if (kernels_) {
    run(x, sum, kind, cpu::Epilogue::kAdd);
  } else {
    sum.add_(at::linear(x, weight_, optional(bias_)));
  }
}

at::Tensor RowLinear::rows(const std::vector<int64_t>& indices) const {
  if (!kernels_) {
    return weight_.index_select(0, at::tensor(indices, at::kLong).to(weight_.device()));
  }
  const auto count = static_cast<int64_t>(indices.size());
  const int64_t inner = tiles_.defined() ? tiles_.inner() : weight_.size(1);
  at::Tensor out = at::empty({count, inner}, at::kFloat);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices[static_cast<size_t>(i)];
    if (tiles_.defined()) {
      tiles_.row(index, out.data_ptr<float>() + i * inner);
      continue;
    }
    at::Tensor row = out.select(0, i);
    row.copy_(weight_.select(0, index / cpu::kBlock).select(1, index % cpu::kBlock));
    if (scale_.defined()) row.mul_(scale_.select(0, index));
  }
  return out;
}

}  // namespace voxpod
