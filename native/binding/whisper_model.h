#pragma once

#include <napi.h>

#include <memory>

#include "feature_stream.h"
#include "handle.h"
#include "whisper/model.h"

namespace voxpod::binding {

/// `EncodedWindow` of lib/native.ts.
class JsWindow : public Handle<JsWindow, whisper::Model::Window> {
 public:
  static Napi::Function define(Napi::Env env);
  using Handle::Handle;

 private:
  void dispose(const Napi::CallbackInfo& info) { release(info.Env()); }
};

/// `WhisperModel` of lib/native.ts.
class JsWhisperModel : public Napi::ObjectWrap<JsWhisperModel> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsWhisperModel(const Napi::CallbackInfo& info);

  /// loadWhisper(folder, options, progress?, cancellation?)
  static Napi::Value load(const Napi::CallbackInfo& info);

 private:
  Napi::Value geometry(const Napi::CallbackInfo& info);
  Napi::Value placement(const Napi::CallbackInfo& info);
  Napi::Value features(const Napi::CallbackInfo& info);
  Napi::Value encode(const Napi::CallbackInfo& info);
  Napi::Value detect_language(const Napi::CallbackInfo& info);
  Napi::Value decode(const Napi::CallbackInfo& info);
  Napi::Value align(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<whisper::Model> model_;
};

}  // namespace voxpod::binding
