#include "engine/thread_team.h"

#include <pthread.h>

#include <chrono>
#include <system_error>
#include <utility>

namespace voxpod {
namespace {

/// How long a thread spins: longer than what a step does between two loops, far shorter than what
/// another program would notice.
constexpr std::chrono::microseconds kSpin(50);
/// Looks at the clock once in so many rounds.
constexpr int kRounds = 16;

thread_local ThreadTeam* team_of_thread = nullptr;
thread_local bool in_team = false;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Returns when `value` is no longer `old`.
void wait_while(std::atomic<uint32_t>& value, uint32_t old) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kRounds; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      relax();
    }
  } while (std::chrono::steady_clock::now() - begin < kSpin);
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadTeam::ThreadTeam(int64_t threads) {
  try {
    for (int64_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    // The system gives no more threads: those that there are will do.
  }
  team_of_thread = this;
}

ThreadTeam::~ThreadTeam() {
  team_of_thread = nullptr;
  ending_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

ThreadTeam* ThreadTeam::current() { return in_team ? nullptr : team_of_thread; }
bool ThreadTeam::running() { return in_team; }

void ThreadTeam::run(const void* self, Call call) {
  self_ = self;
  call_ = call;
  left_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  in_team = true;
  do_part(0);
  in_team = false;
  for (uint32_t left = left_.load(std::memory_order_acquire); left > 0;
       left = left_.load(std::memory_order_acquire)) {
    wait_while(left_, left);
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadTeam::work(int64_t thread) {
  ::pthread_setname_np(::pthread_self(), "voxpod-team");
  in_team = true;
  for (uint32_t seen = 0;; ++seen) {
    wait_while(round_, seen);
    if (ending_) return;
    do_part(thread);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_one();
  }
}

void ThreadTeam::do_part(int64_t thread) {
  try {
    call_(self_, thread);
  } catch (...) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
}

}  // namespace voxpod
