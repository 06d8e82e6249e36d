// The CPU kernels, compiled for AVX2.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

// The order matters: attention uses linear's tile sizes.
#include "kernels/cpu/linear.inl"

#include "kernels/cpu/attention.inl"
#include "kernels/cpu/rows.inl"

namespace voxpod::cpu {

const Kernels kAvx2 = {"avx2", linear, attention, layer_norm, max_index, log_sum_exp};

}  // namespace voxpod::cpu
