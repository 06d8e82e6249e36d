// The CPU kernels, compiled for AVX2.
#include "kernels/cpu/attention.inl"
#include "kernels/cpu/flow_rows.inl"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/linear.inl"
#include "kernels/cpu/lstm.inl"
#include "kernels/cpu/magnitude.inl"
#include "kernels/cpu/rows.inl"
#include "kernels/cpu/snake.inl"

namespace voxpod::cpu {

const Kernels kAvx2 = {"avx2", linear,    attention, layer_norm, max_index, log_sum_exp,
                       lstm,   magnitude, flow_row,  rotate,     snake};

}  // namespace voxpod::cpu
