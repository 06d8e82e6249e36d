#include "cancellation.h"

#include "environment.h"
#include "handle.h"

namespace voxpod::binding {

Napi::Function JsCancellation::define(Napi::Env env) {
  return DefineClass(env, "Cancellation", {InstanceMethod<&JsCancellation::cancel>("cancel")});
}

JsCancellation::JsCancellation(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsCancellation>(info) {}

void JsCancellation::cancel(const Napi::CallbackInfo&) { flag_->cancel(); }

CancellationPtr cancellation_of(const Napi::Value& value) {
  if (value.IsUndefined()) return nullptr;
  return unwrap<JsCancellation>(value, Environment::of(value.Env()).cancellation, "Cancellation")
      ->flag();
}

}  // namespace voxpod::binding
