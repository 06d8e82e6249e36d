#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace voxpod {

/// The threads of one model's parallel loops. A decoder's step has some seventy of them, of 5 to
/// 100 us each, so a thread that waits for the next spins for a while before it sleeps. libgomp's
/// do not as soon as the process has more of them than cores, which a second model is enough for:
/// they sleep at once, and every loop wakes them through the kernel (libgomp's team.c and env.c,
/// gomp_managed_threads and gomp_throttled_spin_count_var). That took a third of a step.
class ThreadTeam {
 public:
  /// `threads` counts the one that makes it; it alone may call `run`. Fewer where the system has no
  /// more to give.
  explicit ThreadTeam(int64_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int64_t threads() const { return static_cast<int64_t>(workers_.size()) + 1; }

  /// `part(thread)` on every thread, the caller's being 0. Returns when all of them are done;
  /// throws what one of them threw.
  template <typename Part>
  void run(const Part& part) {
    run(&part, [](const void* self, int64_t thread) { (*static_cast<const Part*>(self))(thread); });
  }

  /// The team that the calling thread made, unless it is in a `run` of it already.
  static ThreadTeam* current();
  /// Whether the calling thread is one of a team that runs: a loop within is its own.
  static bool running();

 private:
  using Call = void (*)(const void* self, int64_t thread);

  void run(const void* self, Call call);
  void work(int64_t thread);
  void do_part(int64_t thread);

  const void* self_ = nullptr;
  Call call_ = nullptr;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  alignas(64) std::atomic<uint32_t> round_{0};  ///< counts the loops; the last one ends the workers
  alignas(64) std::atomic<uint32_t> left_{0};   ///< workers that are not done with this one
  std::atomic<bool> ending_{false};
  std::vector<std::thread> workers_;
};

}  // namespace voxpod
