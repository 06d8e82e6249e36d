// The kernels that need AVX512-BF16.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/prompt_linear_bf16.inl"
#include "kernels/cpu/self_attention_bf16.inl"

namespace voxpod::cpu {

void window_attention_bf16(const WindowAttentionArgs& args, int64_t head, int64_t begin,
                           int64_t end) {
  window_attention(args, head, begin, end);
}

void prompt_linear_bf16(const LinearArgs& args, const uint16_t* x, uint16_t* scratch, int64_t begin,
                        int64_t end) {
  prompt_linear(args, x, scratch, begin, end);
}

}  // namespace voxpod::cpu
