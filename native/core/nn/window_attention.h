#pragma once

#include <ATen/core/Tensor.h>

#include "nn/placement.h"

namespace voxpod {

/// Attention of all positions over each other: query_key_value [time, 3 * heads * head], as a fused
/// projection leaves it, to [time, heads * head] of the same type.
at::Tensor window_attention(const at::Tensor& query_key_value, int64_t heads,
                            const Placement& placement);
/// Into `out`, which is contiguous.
void window_attention(const at::Tensor& query_key_value, int64_t heads, const Placement& placement,
                      at::Tensor& out);

}  // namespace voxpod
