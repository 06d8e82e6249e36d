#include "kernels/cpu/dispatch.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "error.h"

namespace voxpod::cpu {
namespace {

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/// AMX bits of CPUID leaf 7, EDX: 22 bf16, 24 tiles, 25 int8 (Intel SDM, volume 2A, CPUID).
bool has_amx(int bit) {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> bit & 1) != 0;
}

bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
}

}  // namespace

const Kernels& kernels() {
  if (has_avx512()) return kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()) return kAvx2;
  fail(ErrorCode::kModelUnsupported,
       "This CPU lacks AVX2, FMA or F16C, which voxpod's kernels need (x86-64-v3)");
}

std::vector<std::string> features() {
  std::vector<std::string> found;
  if (__builtin_cpu_supports("avx2")) found.emplace_back("avx2");
  if (has_avx512()) found.emplace_back("avx512");
  if (__builtin_cpu_supports("avx512vnni")) found.emplace_back("avx512_vnni");
  if (__builtin_cpu_supports("avx512bf16")) found.emplace_back("avx512_bf16");
  if (has_amx(22)) found.emplace_back("amx_bf16");
  if (has_amx(25)) found.emplace_back("amx_int8");
  return found;
}

bool can_bfloat16() { return has_avx512(); }

bool fast_bfloat16() { return __builtin_cpu_supports("avx512bf16") || has_amx(22); }

bool has_bfloat16_kernels() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

bool has_tiles() {
  // Linux keeps the tiles' 8 KiB of state from a process until it asks
  // (Documentation/arch/x86/xstate in the kernel's sources: ARCH_REQ_XCOMP_PERM for XTILEDATA).
  // Threads inherit the permission.
  static const bool permitted = [] {
    constexpr long kRequestPermission = 0x1023;
    constexpr long kTileData = 18;
    // For tests and benchmarks of what CPUs without AMX run.
    if (const char* off = std::getenv("VOXPOD_NO_AMX"); off && *off) return false;
    return has_bfloat16_kernels() && has_amx(22) && has_amx(24) && has_amx(25) &&
           ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return permitted;
}

std::string model_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(':');
    if (colon != std::string::npos && colon + 2 < line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace voxpod::cpu
