#include "nn/huge_pages.h"

#include <ATen/ops/empty.h>
#include <sys/mman.h>

#include <cstdint>

namespace voxpod {
namespace {

constexpr uintptr_t kHugePage = 2U << 20;

}  // namespace

at::Tensor empty_huge(at::IntArrayRef sizes, const at::TensorOptions& options) {
  at::Tensor out = at::empty(sizes, options);
  if (!out.device().is_cpu()) return out;
  const auto begin = reinterpret_cast<uintptr_t>(out.data_ptr());
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + out.nbytes()) / kHugePage * kHugePage;
  // Advice only: where the kernel has no huge pages to give, nothing changes.
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  return out;
}

}  // namespace voxpod
