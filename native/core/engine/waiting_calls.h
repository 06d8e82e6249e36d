#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/cancellation.h"

namespace voxpod {

/// Ends calls that nothing more is computed for.
template <typename Call>
void end_calls(std::vector<std::unique_ptr<Call>>& calls, const Error& error) {
  for (const auto& call : calls) call->done(error);
  calls.clear();
}

/// Calls that wait for room in a batch: bounded, and filled by any thread. The inference thread
/// takes them in order.
template <typename Call>
class WaitingCalls {
 public:
  explicit WaitingCalls(size_t max) : max_(max) {}

  /// Throws kQueueFull where it cannot wait, and as its cancellation does.
  void push(std::unique_ptr<Call> call) {
    const std::lock_guard lock(mutex_);
    call->cancellation->check();
    if (calls_.size() >= max_) {
      fail(ErrorCode::kQueueFull, "The model's queue of ", max_, " calls is full");
    }
    calls_.push_back(std::move(call));
  }

  bool empty() const {
    const std::lock_guard lock(mutex_);
    return calls_.empty();
  }

  /// The first of them, where there is room for it; else null.
  template <typename HasRoom>
  std::unique_ptr<Call> take(const HasRoom& has_room) {
    const std::lock_guard lock(mutex_);
    if (calls_.empty() || !has_room(*calls_.front())) return nullptr;
    std::unique_ptr<Call> call = std::move(calls_.front());
    calls_.pop_front();
    return call;
  }

  /// Ends those that were cancelled.
  void end_cancelled() {
    std::vector<std::unique_ptr<Call>> over;
    {
      const std::lock_guard lock(mutex_);
      for (auto& call : calls_) {
        if (call->cancellation->cancelled()) over.push_back(std::move(call));
      }
      std::erase(calls_, nullptr);
    }
    for (const auto& call : over) {
      try {
        call->cancellation->check();
      } catch (const Error& error) {
        call->done(error);
      }
    }
  }

  /// Ends all of them.
  void end(const Error& error) {
    std::vector<std::unique_ptr<Call>> over;
    {
      const std::lock_guard lock(mutex_);
      over.assign(std::make_move_iterator(calls_.begin()), std::make_move_iterator(calls_.end()));
      calls_.clear();
    }
    end_calls(over, error);
  }

 private:
  const size_t max_;
  mutable std::mutex mutex_;
  std::deque<std::unique_ptr<Call>> calls_;
};

}  // namespace voxpod
