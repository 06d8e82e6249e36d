#pragma once

#include <cstddef>
#include <cstdint>

namespace voxpod {

/// Memory of the calling thread, aligned to 64 bytes, that lives until the thread asks for more:
/// what computes again and again allocates nothing.
uint8_t* scratch(size_t bytes);

}  // namespace voxpod
