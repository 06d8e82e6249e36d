#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace voxpod::cpu {

/// The kernels of the best instruction set this CPU has. Throws kModelUnsupported below AVX2, FMA
/// and F16C (x86-64-v3).
const Kernels& kernels();

/// Those of avx2, avx512, avx512_vnni, avx512_bf16, amx_bf16 and amx_int8 that the CPU has.
std::vector<std::string> features();
/// Whether oneDNN computes bfloat16 matrix products at all: AVX-512.
bool can_bfloat16();
/// Whether bfloat16 matrix products are faster than float32 ones: AVX512-BF16 or AMX.
bool fast_bfloat16();
/// Whether the kernels named _bf16 can run.
bool has_bfloat16_kernels();
/// Whether the kernels of tiles.h can run: AMX for bfloat16 and int8, which the operating system
/// gives a process that asks for it.
bool has_tiles();
/// The CPU's name as /proc/cpuinfo gives it.
std::string model_name();

}  // namespace voxpod::cpu
