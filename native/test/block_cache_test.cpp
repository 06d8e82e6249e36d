// Memory that tensors give back and get again.
#include "engine/block_cache.h"

#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>

#include <thread>

#include "check.h"

namespace {

using namespace voxpod;

constexpr int64_t kMegabyte = 1 << 20;

const void* address(int64_t bytes) { return at::empty({bytes}, at::kByte).const_data_ptr(); }

TEST(block_cache_test,
     "a large tensor gets the memory of one that is gone, a live one keeps its own") {
  const BlockCacheScope scope;
  trim_block_cache();
  const at::Tensor held = at::empty({kMegabyte}, at::kByte);
  const void* first = address(kMegabyte);
  EXPECT(first != held.const_data_ptr());
  EXPECT_EQUAL(address(kMegabyte), first);
  // Another that is nearly as large, and one that is not.
  EXPECT_EQUAL(address(kMegabyte - 1000), first);
  const at::Tensor again = at::empty({kMegabyte}, at::kByte);
  EXPECT_EQUAL(again.const_data_ptr(), first);
  EXPECT(address(2 * kMegabyte) != first);
}

TEST(block_cache_test, "memory is kept for a thread that asks for it alone, and freed by any") {
  at::Tensor made;
  std::thread([&] {
    const BlockCacheScope scope;
    made = at::empty({kMegabyte}, at::kByte);
  }).join();
  const void* there = made.const_data_ptr();
  made.reset();
  at::Tensor outside = at::empty({kMegabyte}, at::kByte);
  EXPECT(outside.const_data_ptr() != there);
  const BlockCacheScope scope;
  EXPECT_EQUAL(address(kMegabyte), there);
  // What was made without a scope ends as it began.
  outside.reset();
  EXPECT_EQUAL(address(kMegabyte), there);
}

TEST(block_cache_test, "libtorch's raw interface frees what it was given") {
  const BlockCacheScope scope;
  c10::Allocator* allocator = c10::GetCPUAllocator();
  for (const size_t bytes : {size_t{100}, size_t{kMegabyte}, size_t{100 * kMegabyte}}) {
    void* memory = allocator->raw_allocate(bytes);
    static_cast<char*>(memory)[bytes - 1] = 1;
    allocator->raw_deallocate(memory);
  }
}

}  // namespace
