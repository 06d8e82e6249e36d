#pragma once

#include <napi.h>

#include "signal/noise.h"

namespace voxpod::binding {

/// `NoiseGenerator` of lib/native.ts.
class JsNoiseGenerator : public Napi::ObjectWrap<JsNoiseGenerator> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsNoiseGenerator(const Napi::CallbackInfo& info);

 private:
  Napi::Value draw(const Napi::CallbackInfo& info);

  NoiseGenerator generator_;
};

}  // namespace voxpod::binding
