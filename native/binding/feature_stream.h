#pragma once

#include <napi.h>

#include <memory>

#include "handle.h"
#include "whisper/model.h"

namespace voxpod::binding {

/// The features of a recording, and the model on whose thread they are computed.
struct ModelFeatures {
  std::shared_ptr<whisper::Model> model;
  whisper::Model::Features features;
};

/// `FeatureStream` of lib/native.ts.
class JsFeatureStream : public Handle<JsFeatureStream, ModelFeatures> {
 public:
  static Napi::Function define(Napi::Env env);
  using Handle::Handle;

 private:
  Napi::Value lookahead(const Napi::CallbackInfo& info);
  Napi::Value push(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  void drop_before(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info) { release(info.Env()); }
};

}  // namespace voxpod::binding
