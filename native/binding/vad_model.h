#pragma once

#include <napi.h>

#include <memory>

#include "vad/model.h"

namespace voxpod::binding {

/// `VadModel` of lib/native.ts.
class JsVadModel : public Napi::ObjectWrap<JsVadModel> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsVadModel(const Napi::CallbackInfo& info);

  /// loadVad(path)
  static Napi::Value load(const Napi::CallbackInfo& info);

 private:
  Napi::Value stream(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<vad::Model> model_;
};

/// `VadStream` of lib/native.ts.
class JsVadStream : public Napi::ObjectWrap<JsVadStream> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsVadStream(const Napi::CallbackInfo& info);

 private:
  Napi::Value push(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);

  std::shared_ptr<vad::Model> model_;
  vad::StreamPtr stream_ = std::make_shared<vad::Stream>();
};

}  // namespace voxpod::binding
