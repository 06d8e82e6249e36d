#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cpu/kernels.h"
#include "nn/placement.h"
#include "nn/tile_linear.h"

namespace voxpod {

enum class Activation {
  kNone,
  kGelu,      ///< the exact one, by erf
  kGeluTanh,  ///< Linear alone has it
};

/// What the rows of a RowLinear are: tokens of different sequences, each computed alone, or a
/// prompt, which is never batched with others and may be computed faster, in bfloat16.
enum class RowKind { kStep, kPrompt };

/// A linear layer for many rows at once (an encoder), in the placement's type. On a CPU the weights
/// are kept as AMX's tiles, or as oneDNN wants them, and the activation is fused.
class Linear {
 public:
  Linear() = default;
  /// `weight` [out, in] and `bias` [out], of any floating type; they are copied to the placement.
  Linear(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement);

  /// x [rows, in], each row in one piece, to [rows, out], both in the placement's type; with tiles
  /// x may be float32.
  at::Tensor forward(const at::Tensor& x, Activation activation = Activation::kNone) const;
  /// sum += forward(x), in place; `sum` is float32.
  void add_to(at::Tensor& sum, const at::Tensor& x) const;
  int64_t weight_bytes() const { return bytes_; }

 private:
  TileLinear tiles_;
  at::Tensor weight_;
  at::Tensor bias_;
  bool packed_ = false;
  int64_t bytes_ = 0;
};

/// A linear layer for few rows (a decoder's step): x [rows, in] to [rows, out] in the placement's
/// activation type. On a CPU each row is computed alone, so that it does not depend on its batch:
/// on AMX's tiles, from weights in bfloat16 or int8 and inputs twice as exact; without AMX in
/// float32 from weights in float16 (OpenAI's checkpoints are: nothing is lost), int8, or, where the
/// placement says float32, float32.
class RowLinear {
 public:
  RowLinear() = default;
  RowLinear(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement);

  at::Tensor forward(const at::Tensor& x, RowKind kind,
                     Activation activation = Activation::kNone) const;
  /// sum += forward(x, kind), in place.
  void add_to(at::Tensor& sum, const at::Tensor& x, RowKind kind) const;
  /// Rows `indices` of the weight, as an embedding: [indices, in] in the activation type.
  at::Tensor rows(const std::vector<int64_t>& indices) const;
  int64_t weight_bytes() const {
    return tiles_.defined() ? tiles_.bytes() : static_cast<int64_t>(weight_.nbytes());
  }

 private:
  void run(const at::Tensor& x, at::Tensor& out, RowKind kind, cpu::Epilogue epilogue) const;

  TileLinear tiles_;
  at::Tensor weight_;  ///< [out, in], or packed [out / kBlock, in, kBlock] with kernels
  at::Tensor scale_;   ///< of each column, padded; int8 only
  at::Tensor bias_;
  int64_t columns_ = 0;
  bool kernels_ = false;
};

}  // namespace voxpod
