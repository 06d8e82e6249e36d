#include "nn/scratch.h"

#include <cstdlib>
#include <memory>
#include <new>

namespace voxpod {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

uint8_t* scratch(size_t bytes) {
  thread_local std::unique_ptr<uint8_t, Free> memory;
  thread_local size_t size = 0;
  if (bytes > size) {
    memory.reset();
    size = (bytes + 63) / 64 * 64;
    memory.reset(static_cast<uint8_t*>(std::aligned_alloc(64, size)));
    if (!memory) {
      size = 0;
      throw std::bad_alloc();
    }
  }
  return memory.get();
}

}  // namespace voxpod
