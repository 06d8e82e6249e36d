#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "kernels/cpu/tiles.h"
#include "nn/attention_shape.h"
#include "nn/placement.h"

namespace voxpod {

/// Keys and values of one window of audio, which all sequences that decode the window read.
class CrossCache {
 public:
  CrossCache(const AttentionShape& shape, int64_t context, const Placement& placement);

  /// key_value [context, 2 * width], keys first, in the placement's type.
  void set(int64_t layer, const at::Tensor& key_value);

  /// query [rows, width], each over its whole window; neighbours that share one read it once. All
  /// windows are of one model.
  static at::Tensor attend(int64_t layer, const at::Tensor& query,
                           std::span<const CrossCache* const> windows);
  /// Probabilities of one head over the window's first `context` positions: query [rows, width] to
  /// [rows, context] float32.
  at::Tensor probabilities(int64_t layer, int64_t head, const at::Tensor& query,
                           int64_t context) const;
  int64_t bytes() const {
    return static_cast<int64_t>(tiles_ ? packed_.nbytes() : keys_.nbytes() + values_.nbytes());
  }

 private:
  /// Neighbouring rows that read one window.
  struct Group {
    const CrossCache* window;
    int64_t first;
    int64_t rows;
  };

  const uint8_t* packed_head(int64_t layer, int64_t head) const;
  void attend_head(int64_t layer, int64_t head, const Group& group, const at::Tensor& query,
                   at::Tensor& out) const;
  at::Tensor attend_generic(int64_t layer, const at::Tensor& query) const;

  AttentionShape shape_;
  int64_t context_;
  bool kernels_;
  bool tiles_;
  cpu::TileWeight type_;
  at::Tensor keys_;    ///< [layers, heads, context, head], blocked for kernels
  at::Tensor values_;  ///< [layers, heads, context, head]
  at::Tensor packed_;  ///< both as AMX's tiles: [layers, heads, bytes]
};

}  // namespace voxpod
