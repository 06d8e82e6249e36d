#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cpu/kernels.h"
#include "nn/placement.h"

namespace voxpod {

enum class Activation { kNone, kGelu };

/// What the rows of a RowLinear are: tokens of different sequences, each computed alone, or a
/// prompt, which is never batched with others and may be computed faster, in bfloat16.
enum class RowKind { kStep, kPrompt };

/// A linear layer for many rows at once (an encoder): x [rows, in] in the placement's type to
/// [rows, out] in the same. On a CPU the weights are kept as oneDNN wants them and the activation
/// is fused.
class Linear {
 public:
  Linear() = default;
  /// `weight` [out, in] and `bias` [out], of any floating type; they are copied to the placement.
  Linear(const at::Tensor& weight, const at::Tensor& bias, const Placement& placement);

  at::Tensor forward(const at::Tensor& x, Activation activation = Activation::kNone) const;
  int64_t weight_bytes() const { return bytes_; }

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  bool packed_ = false;
  int64_t bytes_ = 0;
};

/// A linear layer for few rows (a decoder's step): x [rows, in] to [rows, out] in the placement's
/// activation type. On a CPU it computes in float32 from float16 weights (float32 ones where the
/// placement says float32), each row alone, so that a row does not depend on its batch. OpenAI's
/// checkpoints are float16: nothing is lost.
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
  int64_t weight_bytes() const { return static_cast<int64_t>(weight_.nbytes()); }

 private:
  void run(const at::Tensor& x, at::Tensor& out, RowKind kind, cpu::Epilogue epilogue) const;

  at::Tensor weight_;  ///< [out, in], or packed [out / kBlock, in, kBlock] with kernels
  at::Tensor bias_;
  int64_t columns_ = 0;
  bool kernels_ = false;
};

}  // namespace voxpod
