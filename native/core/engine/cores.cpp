#include "engine/cores.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <thread>

namespace voxpod {
namespace {

/// Processor time that may be used in a second, in seconds; infinite where nothing limits it.
double share(const std::filesystem::path& root) {
  double quota = -1;
  double period = -1;
  std::ifstream both(root / "cpu.max");
  // "max 100000" where there is no limit: no number.
  if (!(both >> quota >> period)) {
    std::ifstream(root / "cpu" / "cpu.cfs_quota_us") >> quota;
    std::ifstream(root / "cpu" / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

}  // namespace

int usable_cores() {
  return usable_cores(static_cast<int>(std::thread::hardware_concurrency()), "/sys/fs/cgroup");
}

int usable_cores(int cores, const std::filesystem::path& root) {
  const double most = std::min(static_cast<double>(cores), std::ceil(share(root)));
  return std::max(1, static_cast<int>(most));
}

}  // namespace voxpod
