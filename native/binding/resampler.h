#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <span>

#include "signal/resample.h"

namespace voxpod::binding {

/// `Resampler` of lib/native.ts.
class JsResampler : public Napi::ObjectWrap<JsResampler> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsResampler(const Napi::CallbackInfo& info);

 private:
  struct State {
    State(int64_t from, int64_t to) : resampler(from, to) {}
    Resampler resampler;
    std::atomic<bool> busy = false;
    bool finished = false;
  };

  Napi::Value push(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info, std::span<const float> pcm, bool last);

  std::shared_ptr<State> state_;
};

}  // namespace voxpod::binding
