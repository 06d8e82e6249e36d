#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

#include "engine/cancellation.h"

namespace voxpod {

template <typename T>
using Outcome = std::variant<T, Error>;
/// Called exactly once, on the inference thread or on the one that posts or stops.
template <typename T>
using Done = std::function<void(Outcome<T>)>;

/// The thread that a model computes on, and its bounded queue. Between two jobs it runs `step`,
/// which advances whatever is computed in batches, for as long as `step` says that more is to do.
class InferenceThread {
 public:
  struct Options {
    size_t max_queue = 256;
    int threads = 0;  ///< for parallel loops; 0: one for each core
  };
  /// `run` does the job; `refuse` is called instead where the thread stops before.
  struct Job {
    std::function<void()> run;
    std::function<void(const Error&)> refuse;
  };

  InferenceThread(const Options& options, std::function<bool()> step);
  /// Stops and joins.
  ~InferenceThread();
  InferenceThread(const InferenceThread&) = delete;
  InferenceThread& operator=(const InferenceThread&) = delete;

  /// Has the thread do `work`, whose result or failure `done` gets; kCancelled where it was
  /// cancelled before.
  template <typename T>
  void post(CancellationPtr cancellation, Done<T> done, std::function<T()> work) {
    const auto shared = std::make_shared<Done<T>>(std::move(done));
    post(Job{
        .run =
            [cancellation = std::move(cancellation), shared, work = std::move(work)] {
              try {
                cancellation->check();
                (*shared)(work());
              } catch (...) {
                (*shared)(current_error());
              }
            },
        .refuse = [shared](const Error& error) { (*shared)(error); },
    });
  }
  /// Refuses the job with kQueueFull or kDisposed where it cannot wait.
  void post(Job job);
  /// Has `step` run, now or behind what runs.
  void wake();
  /// Lets the running job and step end, refuses what waits with kDisposed and joins. Any later call
  /// returns at once.
  void stop();

 private:
  void loop();

  Options options_;
  std::function<bool()> step_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool awake_ = false;
  bool stopping_ = false;
  std::once_flag joined_;
  std::thread thread_;
};

}  // namespace voxpod
