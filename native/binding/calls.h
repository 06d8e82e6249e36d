#pragma once

#include <napi.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/inference_thread.h"

namespace voxpod::binding {

/// A JavaScript Error with the error's code.
Napi::Error to_js(Napi::Env env, const Error& error);

/// A copy of them.
Napi::Float32Array to_array(Napi::Env env, std::span<const float> numbers);

/// The promises of calls that run on other threads. All Node-API handles stay on Node's thread: a
/// computing thread holds a call's number only.
class Calls : public std::enable_shared_from_this<Calls> {
 public:
  explicit Calls(Napi::Env env);

  /// A promise for what `begin` will hand to its Done, from whatever thread. `convert` makes the
  /// result on Node's thread; The objects `keep` live until the promise is settled.
  template <typename T>
  Napi::Value start(Napi::Env env, const std::function<void(Done<T>)>& begin,
                    std::function<Napi::Value(Napi::Env, T&)> convert,
                    const std::vector<Napi::Value>& keep) {
    const int64_t id = open(env, keep);
    const Napi::Value promise = pending_.at(id).deferred.Promise();
    begin([self = shared_from_this(), id, convert = std::move(convert)](Outcome<T> outcome) {
      self->post([id, convert, self,
                  outcome = std::make_shared<Outcome<T>>(std::move(outcome))](Napi::Env loop) {
        self->settle(loop, id, [&](Napi::Env inner) -> Napi::Value {
          if (const Error* error = std::get_if<Error>(outcome.get())) throw to_js(inner, *error);
          return convert(inner, std::get<T>(*outcome));
        });
      });
    });
    return promise;
  }

  /// A promise for what `work` returns, which runs on a thread of its own.
  template <typename T>
  Napi::Value start_thread(Napi::Env env, std::function<T()> work,
                           std::function<Napi::Value(Napi::Env, T&)> convert,
                           const std::vector<Napi::Value>& keep) {
    return start<T>(
        env,
        [&](Done<T> done) {
          spawn([work = std::move(work), done = std::move(done)] {
            try {
              done(work());
            } catch (...) {
              done(current_error());
            }
          });
        },
        std::move(convert), keep);
  }

  /// Calls the function `value`, if it is one, on Node's thread with a fraction, at most a hundred
  /// times; else nothing.
  std::function<void(double)> progress(const Napi::Value& value);

  /// Runs `work` on a thread of its own; close() waits for it.
  void spawn(std::function<void()> work);
  /// Runs `task` on Node's thread, unless the environment is gone.
  void post(std::function<void(Napi::Env)> task);
  /// Waits for spawned work; called when the environment ends.
  void close();

 private:
  struct Pending {
    Napi::Promise::Deferred deferred;
    std::vector<Napi::ObjectReference> keep;
  };

  int64_t open(Napi::Env env, const std::vector<Napi::Value>& keep);
  void settle(Napi::Env env, int64_t id, const std::function<Napi::Value(Napi::Env)>& make);

  Napi::ThreadSafeFunction loop_;
  std::map<int64_t, Pending> pending_;
  int64_t next_ = 0;
  std::mutex mutex_;
  std::condition_variable idle_;
  int running_ = 0;
};

}  // namespace voxpod::binding
