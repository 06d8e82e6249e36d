#pragma once

#include <filesystem>

namespace voxpod {

/// Cores that this process may keep busy: those that it may run on, and no more than its control
/// group's share of processor time is worth. A container with 4 of a machine's 128 cores mostly
/// sees all of them; 128 threads would spend its share within a moment and stand still for the rest
/// of every 0.1 s.
int usable_cores();

/// The same for `cores` and the control group's files below `root`: cpu.max of version 2,
/// cpu/cpu.cfs_quota_us and cpu/cpu.cfs_period_us of version 1 (Documentation/admin-guide/cgroup-v2
/// and scheduler/sched-bwc in the kernel's sources). At least 1.
int usable_cores(int cores, const std::filesystem::path& root);

}  // namespace voxpod
