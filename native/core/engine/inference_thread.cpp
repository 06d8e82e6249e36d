#include "engine/inference_thread.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <pthread.h>

#include <chrono>

#include "engine/block_cache.h"
#include "engine/cores.h"
#include "engine/thread_team.h"

namespace voxpod {

namespace {

/// After so long without a call the memory kept for the next one is given back.
constexpr std::chrono::seconds kIdle(2);

}  // namespace

InferenceThread::InferenceThread(const Options& options, std::function<bool()> step)
    : options_(options), step_(std::move(step)), thread_([this] { loop(); }) {}

InferenceThread::~InferenceThread() { stop(); }

void InferenceThread::post(Job job) {
  ErrorCode refusal = ErrorCode::kDisposed;
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && queue_.size() < options_.max_queue) {
      queue_.push_back(std::move(job));
      wake_.notify_one();
      return;
    }
    if (!stopping_) refusal = ErrorCode::kQueueFull;
  }
  job.refuse(refusal == ErrorCode::kDisposed
                 ? Error(refusal, "The model was disposed")
                 : Error(refusal, "The model's queue of " + std::to_string(options_.max_queue) +
                                      " calls is full"));
}

void InferenceThread::wake() {
  const std::lock_guard lock(mutex_);
  awake_ = true;
  wake_.notify_one();
}

void InferenceThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  std::call_once(joined_, [this] { thread_.join(); });
}

void InferenceThread::loop() {
  ::pthread_setname_np(::pthread_self(), "voxpod-engine");
  // Both belong to the thread: without them it would run with all cores and record gradients.
  // ATen gives a thread the number that was set last anywhere, when it first computes there: in
  // libtorch's copy of that inline code and in ours. Both are to have happened.
  at::get_num_threads();
  at::internal::lazy_init_num_threads();
  at::set_num_threads(options_.threads > 0 ? options_.threads : usable_cores());
  const c10::InferenceMode inference;
  const BlockCacheScope cache;
  const ThreadTeam team(at::get_num_threads());
  bool active = false;
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      const auto called = [&] { return active || awake_ || stopping_ || !queue_.empty(); };
      if (!wake_.wait_for(lock, kIdle, called)) {
        lock.unlock();
        trim_block_cache();
        lock.lock();
        wake_.wait(lock, called);
      }
      awake_ = false;
      if (stopping_) break;
      if (!queue_.empty()) {
        job = std::move(queue_.front());
        queue_.pop_front();
      }
    }
    if (job.run) job.run();
    active = step_();
  }
  const std::lock_guard lock(mutex_);
  for (const Job& job : queue_) job.refuse(Error(ErrorCode::kDisposed, "The model was disposed"));
  queue_.clear();
}

}  // namespace voxpod
