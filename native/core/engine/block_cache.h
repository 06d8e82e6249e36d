#pragma once

namespace voxpod {

/// While one lives, large tensors that its thread makes on the CPU come from a cache of memory that
/// such tensors gave back before: memory that is fresh from the system costs a page fault every 4
/// KiB, which took a seventh of an encoder's time. What is kept is bounded, and given back by
/// `trim_block_cache`.
class BlockCacheScope {
 public:
  BlockCacheScope();
  ~BlockCacheScope();
  BlockCacheScope(const BlockCacheScope&) = delete;
  BlockCacheScope& operator=(const BlockCacheScope&) = delete;
};

/// Gives the memory that nobody uses back to the system.
void trim_block_cache();

}  // namespace voxpod
