#pragma once

#include "f5/geometry.h"
#include "f5/ragged.h"
#include "nn/weights.h"

namespace voxpod::f5 {

/// Rotary positions (Su et al. 2021) of pairs of neighbours: x * cosines + swapped(x) * sines,
/// where the numbers of each pair change places.
class RotaryTable {
 public:
  explicit RotaryTable(int64_t head) : head_(head) {}
  /// Makes the table reach `positions` at least.
  void reach(int64_t positions, at::Device device);
  const at::Tensor& cosines() const { return cosines_; }
  const at::Tensor& sines() const { return sines_; }

 private:
  int64_t head_;
  at::Tensor cosines_;  ///< [positions, head] float32, each twice
  at::Tensor sines_;    ///< [positions, head] float32, each twice, first negative
};

/// Attention of each sequence's rows over each other: SWivid/F5-TTS, model/modules.py, Attention
/// and AttnProcessor.
class Attention {
 public:
  /// `at`: the part's name in the checkpoint.
  Attention(Weights& weights, const Geometry& geometry, const std::string& at);

  /// x [rows, width] in the placement's type to [rows, width], which may lie in a room.
  at::Tensor forward(const at::Tensor& x, std::span<const Sequence> sequences,
                     const RotaryTable& rotary) const;

 private:
  void rotate(const at::Tensor& query_key_value, const RotaryTable& rotary) const;
  void rotate_by_kernel(const at::Tensor& query_key_value, const RotaryTable& rotary) const;

  Placement placement_;
  int64_t heads_;
  int64_t head_;
  int64_t rotated_;  ///< heads, from the first
  Linear query_key_value_;
  at::Tensor query_norm_;  ///< [head] float32, or undefined
  at::Tensor key_norm_;
  Linear out_;
};

}  // namespace voxpod::f5
