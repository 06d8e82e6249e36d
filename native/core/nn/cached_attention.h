#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "nn/placement.h"

namespace voxpod {

struct AttentionShape {
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t head_size = 0;  ///< with CPU kernels a multiple of cpu::kBlock

  int64_t width() const { return heads * head_size; }
};

/// Where a row of a decoder's batch stands: it reads and writes cache slot `slot`, and its token is
/// number `position` of that slot's sequence.
struct CachePosition {
  int64_t slot = 0;
  int64_t position = 0;
};

/// Keys and values of the decoder's own tokens for up to `slots` sequences, allocated once. Pages
/// are only touched as sequences grow.
class SelfCache {
 public:
  SelfCache(const AttentionShape& shape, int64_t slots, int64_t context,
            const Placement& placement);

  /// Stores key and value [rows, width] at the rows' positions, then lets every query [rows, width]
  /// see its slot's tokens up to its own. Rows of one slot are a prompt, in order; nothing else may
  /// share a slot.
  at::Tensor attend(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                    const at::Tensor& value, std::span<const CachePosition> rows);

  /// Makes slot `to` a copy of the first `length` tokens of `from`.
  void copy(int64_t from, int64_t to, int64_t length);

  int64_t slots() const { return slots_; }

 private:
  at::Tensor attend_kernels(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, std::span<const CachePosition> rows);
  at::Tensor attend_generic(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, std::span<const CachePosition> rows);

  AttentionShape shape_;
  int64_t slots_;
  int64_t context_;
  bool kernels_;
  at::Tensor keys_;    ///< [layers, slots, heads, context, head], blocked for kernels
  at::Tensor values_;  ///< [layers, slots, heads, context, head]
};

/// Keys and values of one window of audio, which all sequences that decode the window read.
class CrossCache {
 public:
  CrossCache(const AttentionShape& shape, int64_t context, const Placement& placement);

  /// key_value [context, 2 * width], keys first, in the placement's type.
  void set(int64_t layer, const at::Tensor& key_value);

  /// query [rows, width] over the whole window.
  at::Tensor attend(int64_t layer, const at::Tensor& query) const;
  int64_t bytes() const { return static_cast<int64_t>(keys_.nbytes() + values_.nbytes()); }

 private:
  AttentionShape shape_;
  int64_t context_;
  bool kernels_;
  at::Tensor keys_;    ///< [layers, heads, context, head], blocked for kernels
  at::Tensor values_;  ///< [layers, heads, context, head]
};

}  // namespace voxpod
