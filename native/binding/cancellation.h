#pragma once

#include <napi.h>

#include "engine/cancellation.h"

namespace voxpod::binding {

/// `Cancellation` of lib/native.ts.
class JsCancellation : public Napi::ObjectWrap<JsCancellation> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsCancellation(const Napi::CallbackInfo& info);

  const CancellationPtr& flag() const { return flag_; }

 private:
  void cancel(const Napi::CallbackInfo& info);

  CancellationPtr flag_ = std::make_shared<Cancellation>();
};

/// The flag of an optional Cancellation argument; null where it is undefined.
CancellationPtr cancellation_of(const Napi::Value& value);

}  // namespace voxpod::binding
