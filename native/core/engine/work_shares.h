#pragma once

#include <ATen/Parallel.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/thread_team.h"

namespace voxpod {

/// Tasks [0, count) shared out among threads: each takes those of its own part in order, and when
/// none is left, the last ones of whoever has most left. So a thread whose core is slowed down (by
/// a neighbour on the same core, by another program) does not keep all others waiting: AMX's
/// instructions take up to four times as long while the core's other thread uses them, too.
class WorkShares {
 public:
  WorkShares(int64_t count, int64_t threads);

  /// The next task of thread `thread`, or -1 where all are taken.
  int64_t take(int64_t thread);

 private:
  /// First and last task that nobody has taken, in one number.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  bool take_first(Share& share, int64_t& task);
  bool take_last(Share& share, int64_t& task);

  std::vector<Share> shares_;
};

/// Tasks [0, count), each once, on the threads of the caller's team, or else on ATen's. `make()`
/// gives what does the tasks of one thread, a function of a task's number: it may keep from one
/// task to the next what both need. Tasks mostly come to it in ascending order, but for those that
/// it takes from others. No task may use ATen's operations, which would start threads of their own.
template <class Make>
void share_work(int64_t count, const Make& make) {
  ThreadTeam* team = ThreadTeam::current();
  const bool alone = ThreadTeam::running() || at::in_parallel_region();
  const int64_t threads = team ? team->threads() : alone ? 1 : at::get_num_threads();
  if (threads == 1 || count <= 1) {
    auto worker = make();
    for (int64_t task = 0; task < count; ++task) worker(task);
    return;
  }
  WorkShares shares(count, threads);
  const auto part = [&](int64_t thread) {
    int64_t task = shares.take(thread);
    if (task < 0) return;
    auto worker = make();
    for (; task >= 0; task = shares.take(thread)) worker(task);
  };
  if (team) {
    team->run(part);
    return;
  }
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) part(thread);
  });
}

/// The numbers [0, size) in pieces of at most `grain`: `piece(begin, end)` for each.
template <class Piece>
void share_range(int64_t size, int64_t grain, const Piece& piece) {
  share_work((size + grain - 1) / grain, [&] {
    return [&](int64_t task) {
      const int64_t begin = task * grain;
      piece(begin, begin + grain < size ? begin + grain : size);
    };
  });
}

}  // namespace voxpod
