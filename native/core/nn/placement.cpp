#include "nn/placement.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "error.h"
#include "kernels/cpu/dispatch.h"

namespace voxpod {
namespace {

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (!name.starts_with("cuda")) {
    fail(ErrorCode::kInvalidArgument, "Unknown device ", name, ": expected cpu, cuda or cuda:N");
  }
  int index = 0;
  if (name != "cuda") {
    const std::string digits = name.size() > 5 && name[4] == ':' ? name.substr(5) : "";
    if (digits.empty() || digits.size() > 3 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      fail(ErrorCode::kInvalidArgument, "Unknown device ", name, ": expected cpu, cuda or cuda:N");
    }
    index = std::stoi(digits);
  }
  const int count = at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (index >= count) {
    fail(ErrorCode::kDeviceUnavailable, "No device ", name, ": ", count,
         " CUDA devices can be used. `voxpod setup --cuda` installs the CUDA libraries; "
         "`voxpod info` shows what was found");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

}  // namespace

bool Placement::uses_tiles() const {
  return uses_kernels() && dtype == at::kBFloat16 && cpu::has_tiles();
}

Placement make_placement(const std::string& device, const std::string& dtype) {
  Placement placement;
  placement.device = parse_device(device);
  const bool on_cpu = placement.device.is_cpu();
  if (dtype == "float32") {
    placement.dtype = at::kFloat;
  } else if (dtype == "bfloat16") {
    if (on_cpu && !cpu::can_bfloat16()) {
      fail(ErrorCode::kModelUnsupported,
           "bfloat16 needs AVX-512, which this CPU lacks; use float32 or auto");
    }
    placement.dtype = at::kBFloat16;
  } else if (dtype == "float16") {
    if (on_cpu) {
      fail(ErrorCode::kModelUnsupported,
           "float16 is for CUDA devices; a CPU computes in float32 or bfloat16");
    }
    placement.dtype = at::kHalf;
  } else if (dtype == "int8" && !on_cpu) {
    fail(ErrorCode::kModelUnsupported, "int8 is for CPUs; use auto, bfloat16 or float16");
  } else if (dtype == "auto" || dtype == "int8") {
    placement.dtype = on_cpu && !cpu::fast_bfloat16() ? at::kFloat : at::kBFloat16;
    // On tiles int8 loses no word of what float32 hears (docs/benchmarks.md) and reads half as
    // much.
    placement.int8 = dtype == "int8" || (on_cpu && cpu::has_tiles());
  } else {
    fail(ErrorCode::kInvalidArgument, "Unknown dtype ", dtype,
         ": expected auto, float32, bfloat16, float16 or int8");
  }
  return placement;
}

std::string dtype_name(const Placement& placement) {
  if (placement.int8) return "int8";
  switch (placement.dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return c10::toString(placement.dtype);
  }
}

}  // namespace voxpod
