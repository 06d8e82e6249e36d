#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "nn/attention_shape.h"
#include "nn/placement.h"

namespace voxpod {

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

}  // namespace voxpod
