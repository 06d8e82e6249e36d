#include "engine/block_cache.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace voxpod {
namespace {

/// Below it malloc keeps memory itself; above `kLargest` what was kept would be missed elsewhere.
constexpr size_t kSmallest = 64U << 10;
constexpr size_t kLargest = 64U << 20;
/// Of all that is kept for reuse.
constexpr size_t kMostKept = 192U << 20;
constexpr size_t kHugePage = 2U << 20;

thread_local int scopes = 0;

/// Eight sizes between a power of two and the next, so that blocks fit others' needs.
size_t size_class(size_t bytes) {
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

void* from_system(size_t bytes) {
  const bool huge = bytes >= 2 * kHugePage;
  const size_t alignment = huge ? kHugePage : 4096;
  void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (block == nullptr) throw std::bad_alloc();
  // Advice only.
  if (huge) ::madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

class BlockCache {
 public:
  void* take(size_t bytes) {
    const size_t size = size_class(bytes);
    {
      const std::lock_guard lock(mutex_);
      if (auto free = free_.find(size); free != free_.end() && !free->second.empty()) {
        void* block = free->second.back();
        free->second.pop_back();
        kept_ -= size;
        used_.emplace(block, size);
        return block;
      }
    }
    void* block = from_system(size);
    const std::lock_guard lock(mutex_);
    used_.emplace(block, size);
    return block;
  }

  /// False where it did not come from here.
  bool give(void* block) {
    {
      const std::lock_guard lock(mutex_);
      const auto used = used_.find(block);
      if (used == used_.end()) return false;
      const size_t size = used->second;
      used_.erase(used);
      if (kept_ + size <= kMostKept) {
        free_[size].push_back(block);
        kept_ += size;
        return true;
      }
    }
    std::free(block);
    return true;
  }

  void trim() {
    std::map<size_t, std::vector<void*>> blocks;
    {
      const std::lock_guard lock(mutex_);
      blocks.swap(free_);
      kept_ = 0;
    }
    for (const auto& [size, same] : blocks) {
      for (void* block : same) std::free(block);
    }
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  std::unordered_map<void*, size_t> used_;
  size_t kept_ = 0;
};

/// Never destroyed: tensors may outlive everything else.
BlockCache& cache() {
  static auto* cache = new BlockCache;
  return *cache;
}

/// In the place of libtorch's allocator, for all of the process, once.
class Allocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (scopes == 0 || bytes < kSmallest || bytes > kLargest) return usual().allocate(bytes);
    void* block = cache().take(bytes);
    return {block, block, free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return free; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }

  static void install() {
    usual();
    static Allocator allocator;
    static const bool installed = [] {
      c10::SetCPUAllocator(&allocator, 1);
      return true;
    }();
    static_cast<void>(installed);
  }

 private:
  static c10::Allocator& usual() {
    static c10::Allocator* const usual = c10::GetCPUAllocator();
    return *usual;
  }
  static void free(void* memory) {
    if (!cache().give(memory)) usual().raw_deleter()(memory);
  }
};

}  // namespace

BlockCacheScope::BlockCacheScope() {
  Allocator::install();
  ++scopes;
}

BlockCacheScope::~BlockCacheScope() { --scopes; }

void trim_block_cache() { cache().trim(); }

}  // namespace voxpod
