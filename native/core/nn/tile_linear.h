#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cpu/tiles.h"

namespace voxpod {

/// The weights of a linear layer as AMX's tiles, for any number of rows.
class TileLinear {
 public:
  TileLinear() = default;
  /// `weight` [out, in] of a floating type, `bias` [out] or undefined.
  TileLinear(const at::Tensor& weight, const at::Tensor& bias, cpu::TileWeight type);

  bool defined() const { return weight_.defined(); }
  int64_t inner() const { return inner_; }
  int64_t columns() const { return columns_; }
  int64_t bytes() const { return static_cast<int64_t>(weight_.nbytes()); }

  /// x [rows, in], float32 or bfloat16, each row in one piece, into `out` [rows, out], float32 or
  /// bfloat16. `wide` keeps 16 bits of a float32 (15 for int8) where it would be rounded to
  /// bfloat16's 8.
  void run(const at::Tensor& x, at::Tensor& out, bool wide, cpu::Epilogue epilogue) const;
  /// Row `index` of the weight: [in].
  void row(int64_t index, float* out) const;

 private:
  cpu::TileWeight type_ = cpu::TileWeight::kBFloat16;
  int64_t inner_ = 0;
  int64_t columns_ = 0;
  at::Tensor weight_;  ///< bytes
  at::Tensor scale_;   ///< [columns, padded], int8 only
  at::Tensor bias_;    ///< [columns, padded]
};

}  // namespace voxpod
