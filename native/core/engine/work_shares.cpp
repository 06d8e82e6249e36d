#include "engine/work_shares.h"

namespace voxpod {
namespace {

constexpr uint64_t both(uint64_t first, uint64_t end) { return first << 32 | end; }
constexpr uint64_t first_of(uint64_t left) { return left >> 32; }
constexpr uint64_t end_of(uint64_t left) { return left & 0xFFFFFFFF; }

constexpr uint64_t count_of(uint64_t left) {
  return first_of(left) < end_of(left) ? end_of(left) - first_of(left) : 0;
}

}  // namespace

// No memory is handed over by a share: a thread sees what the others made only behind the parallel
// region. So relaxed operations do.

WorkShares::WorkShares(int64_t count, int64_t threads) : shares_(static_cast<size_t>(threads)) {
  for (int64_t i = 0; i < threads; ++i) {
    shares_[static_cast<size_t>(i)].left.store(
        both(static_cast<uint64_t>(count * i / threads),
             static_cast<uint64_t>(count * (i + 1) / threads)),
        std::memory_order_relaxed);
  }
}

int64_t WorkShares::take(int64_t thread) {
  int64_t task = -1;
  if (take_first(shares_[static_cast<size_t>(thread)], task)) return task;
  while (true) {
    Share* fullest = nullptr;
    uint64_t most = 0;
    for (Share& share : shares_) {
      const uint64_t count = count_of(share.left.load(std::memory_order_relaxed));
      if (count <= most) continue;
      most = count;
      fullest = &share;
    }
    if (!fullest) return -1;
    if (take_last(*fullest, task)) return task;
  }
}

bool WorkShares::take_first(Share& share, int64_t& task) {
  uint64_t left = share.left.load(std::memory_order_relaxed);
  while (count_of(left) > 0) {
    if (share.left.compare_exchange_weak(left, both(first_of(left) + 1, end_of(left)),
                                         std::memory_order_relaxed)) {
      task = static_cast<int64_t>(first_of(left));
      return true;
    }
  }
  return false;
}

bool WorkShares::take_last(Share& share, int64_t& task) {
  uint64_t left = share.left.load(std::memory_order_relaxed);
  while (count_of(left) > 0) {
    if (share.left.compare_exchange_weak(left, both(first_of(left), end_of(left) - 1),
                                         std::memory_order_relaxed)) {
      task = static_cast<int64_t>(end_of(left) - 1);
      return true;
    }
  }
  return false;
}

}  // namespace voxpod
