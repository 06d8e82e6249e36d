#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "nn/placement.h"

namespace voxpod {

struct AttentionShape {
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t head_size = 0;  ///< with CPU kernels a multiple of cpu::kBlock

  int64_t width() const { return heads * head_size; }
};

/// The pages of a SelfCache that one sequence lies in, in order.
using CachePages = std::vector<int32_t>;

/// Where a row of a decoder's batch stands: its token is number `position` of a sequence.
struct CachePosition {
  const CachePages* pages = nullptr;
  int64_t position = 0;
};

/// Keys and values of the decoder's own tokens, allocated once, in pages of a few tokens. Sequences
/// with a common beginning (the beams of a search, samples of one prompt) share its pages: what
/// grows in different ways is copied page by page, and only then.
class SelfCache {
 public:
  /// Memory of pages that are never written is never touched.
  SelfCache(const AttentionShape& shape, int64_t pages, const Placement& placement);

  /// Pages of `tokens` tokens.
  static int64_t pages_for(int64_t tokens);

  /// Makes `pages` ready for tokens up to `length`, of which those from `position` on are to be
  /// written: adds what is missing and copies what it shares with another sequence.
  void prepare(CachePages& pages, int64_t position, int64_t length);
  /// The same tokens for another sequence.
  CachePages share(const CachePages& pages);
  /// Gives the pages back and empties the list.
  void release(CachePages& pages);

  /// Stores key and value [rows, width] at the rows' positions, which were prepared, then lets
  /// every query [rows, width] see its sequence's tokens up to its own. Rows of one sequence are a
  /// prompt, in order.
  at::Tensor attend(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                    const at::Tensor& value, std::span<const CachePosition> rows);

 private:
  at::Tensor attend_kernels(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, std::span<const CachePosition> rows);
  at::Tensor attend_generic(int64_t layer, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, std::span<const CachePosition> rows);
  int32_t take();

  AttentionShape shape_;
  bool kernels_;
  at::Tensor keys_;    ///< [layers, pages, heads, kBlock, head]; with kernels [..., head, kBlock]
  at::Tensor values_;  ///< [layers, pages, heads, kBlock, head]
  CachePages free_;
  std::vector<int32_t> users_;  ///< of each page
};

/// Keys and values of one window of audio, which all sequences that decode the window read.
class CrossCache {
 public:
  CrossCache(const AttentionShape& shape, int64_t context, const Placement& placement);

  /// key_value [context, 2 * width], keys first, in the placement's type.
  void set(int64_t layer, const at::Tensor& key_value);

  /// query [rows, width] over the whole window.
  at::Tensor attend(int64_t layer, const at::Tensor& query) const;
  /// Probabilities of one head over the window's first `context` positions: query [rows, width] to
  /// [rows, context] float32.
  at::Tensor probabilities(int64_t layer, int64_t head, const at::Tensor& query,
                           int64_t context) const;
  int64_t bytes() const { return static_cast<int64_t>(keys_.nbytes() + values_.nbytes()); }

 private:
  AttentionShape shape_;
  int64_t context_;
  bool kernels_;
  at::Tensor keys_;    ///< [layers, heads, context, head], blocked for kernels
  at::Tensor values_;  ///< [layers, heads, context, head]
};

}  // namespace voxpod
