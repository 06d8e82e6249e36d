#pragma once

#include <napi.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "arguments.h"
#include "calls.h"
#include "nn/placement.h"

namespace voxpod::binding {

/// What one Node environment (the main thread, or a worker thread) holds of the addon.
struct Environment {
  explicit Environment(Napi::Env env) : calls(std::make_shared<Calls>(env)) {}

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  std::shared_ptr<Calls> calls;
  /// Cancels loading when the environment ends.
  CancellationPtr closing = std::make_shared<Cancellation>();
  /// Models, whose threads stop when the environment ends.
  struct Loaded {
    std::weak_ptr<void> model;
    std::function<void()> stop;
  };
  std::vector<Loaded> loaded;
  Napi::FunctionReference cancellation;
  Napi::FunctionReference feature_stream;
  Napi::FunctionReference window;
  Napi::FunctionReference whisper_model;
  Napi::FunctionReference vad_model;
  Napi::FunctionReference vad_stream;
  Napi::FunctionReference f5_model;
};

/// `placement` of a model in lib/native.ts.
inline Napi::Object placement_object(Napi::Env env, const Placement& placement, int64_t bytes) {
  auto out = Napi::Object::New(env);
  out.Set("device", placement.device.str());
  out.Set("dtype", dtype_name(placement));
  out.Set("weightBytes", static_cast<double>(bytes));
  return out;
}

/// The options of loading that a model has whatever its kind.
template <typename Options>
Options engine_options(const Napi::Object& from) {
  Options out;
  const auto count = [&](const char* name, int64_t most) {
    return std::clamp<int64_t>(integer(from.Get(name), name), 0, most);
  };
  out.device = text(from.Get("device"), "device");
  out.dtype = text(from.Get("dtype"), "dtype");
  out.threads = static_cast<int>(count("threads", 1024));
  out.max_queue = static_cast<size_t>(count("maxQueue", 1 << 20));
  return out;
}

/// A promise for an object of `constructor`, a class of the environment, around the model that
/// `make` loads on a thread of its own.
template <typename Model>
Napi::Value load_model(Napi::Env env, Napi::FunctionReference Environment::* constructor,
                       std::function<std::shared_ptr<Model>()> make) {
  using Shared = std::shared_ptr<Model>;
  return Environment::of(env).calls->start_thread<Shared>(
      env, std::move(make),
      [constructor](Napi::Env loop, Shared& model) -> Napi::Value {
        Environment& data = Environment::of(loop);
        std::erase_if(data.loaded, [](const auto& other) { return other.model.expired(); });
        data.loaded.push_back({.model = model, .stop = [weak = std::weak_ptr<Model>(model)] {
                                 if (const Shared alive = weak.lock()) alive->stop();
                               }});
        return (data.*constructor).New({Napi::External<Shared>::New(loop, &model)});
      },
      {});
}

/// What load_model hands to the constructor of its object, which nobody else calls.
template <typename Model>
std::shared_ptr<Model> loaded_model(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) {
    throw to_js(info.Env(), Error(ErrorCode::kInvalidArgument,
                                  "Objects of this class are made by the addon alone"));
  }
  return *info[0].As<Napi::External<std::shared_ptr<Model>>>().Data();
}

/// A promise that is settled when the model's thread has stopped.
template <typename Model>
Napi::Value stop_model(const Napi::CallbackInfo& info, std::shared_ptr<Model> model) {
  return Environment::of(info.Env())
      .calls->start_thread<bool>(
          info.Env(),
          [model = std::move(model)] {
            model->stop();
            return true;
          },
          [](Napi::Env env, bool&) -> Napi::Value { return env.Undefined(); }, {info.This()});
}

}  // namespace voxpod::binding
