#pragma once

#include <napi.h>

#include <memory>

#include "f5/model.h"

namespace voxpod::binding {

/// `F5Model` of lib/native.ts.
class JsF5Model : public Napi::ObjectWrap<JsF5Model> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsF5Model(const Napi::CallbackInfo& info);

  /// loadF5(checkpoint, vocoder, options, progress?, cancellation?)
  static Napi::Value load(const Napi::CallbackInfo& info);

 private:
  Napi::Value geometry(const Napi::CallbackInfo& info);
  Napi::Value placement(const Napi::CallbackInfo& info);
  Napi::Value mel(const Napi::CallbackInfo& info);
  Napi::Value sample(const Napi::CallbackInfo& info);
  Napi::Value vocode(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<f5::Model> model_;
};

}  // namespace voxpod::binding
