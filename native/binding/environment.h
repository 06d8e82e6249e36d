#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "calls.h"
#include "vad/model.h"
#include "whisper/model.h"

namespace voxpod::binding {

/// What one Node environment (the main thread, or a worker thread) holds of the addon.
struct Environment {
  explicit Environment(Napi::Env env) : calls(std::make_shared<Calls>(env)) {}

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  std::shared_ptr<Calls> calls;
  /// Cancels loading when the environment ends.
  CancellationPtr closing = std::make_shared<Cancellation>();
  std::vector<std::weak_ptr<whisper::Model>> models;
  std::vector<std::weak_ptr<vad::Model>> detectors;
  Napi::FunctionReference cancellation;
  Napi::FunctionReference feature_stream;
  Napi::FunctionReference window;
  Napi::FunctionReference whisper_model;
  Napi::FunctionReference vad_model;
  Napi::FunctionReference vad_stream;
};

}  // namespace voxpod::binding
