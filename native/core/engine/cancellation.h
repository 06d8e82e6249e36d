#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "error.h"

namespace voxpod {

/// A flag that a caller raises and computations poll, between layers and between steps. One made
/// from others is raised with any of them.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(std::shared_ptr<const Cancellation> first,
               std::shared_ptr<const Cancellation> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  /// `reason` is what check() throws: kCancelled by the caller, kDisposed by the model's end.
  void cancel(ErrorCode reason = ErrorCode::kCancelled) {
    reason_.store(reason, std::memory_order_relaxed);
    raised_.store(true, std::memory_order_release);
  }

  bool cancelled() const {
    return raised_.load(std::memory_order_acquire) || (first_ && first_->cancelled()) ||
           (second_ && second_->cancelled());
  }

  void check() const {
    if (raised_.load(std::memory_order_acquire)) {
      const ErrorCode reason = reason_.load(std::memory_order_relaxed);
      fail(reason,
           reason == ErrorCode::kDisposed ? "The model was disposed" : "The call was cancelled");
    }
    if (first_) first_->check();
    if (second_) second_->check();
  }

 private:
  std::atomic<bool> raised_ = false;
  std::atomic<ErrorCode> reason_ = ErrorCode::kCancelled;
  std::shared_ptr<const Cancellation> first_;
  std::shared_ptr<const Cancellation> second_;
};

using CancellationPtr = std::shared_ptr<Cancellation>;

}  // namespace voxpod
