#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <napi.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include "cancellation.h"
#include "engine/cores.h"
#include "environment.h"
#include "f5_model.h"
#include "kernels/cpu/dispatch.h"
#include "nn/placement.h"
#include "noise_generator.h"
#include "resampler.h"
#include "vad_model.h"
#include "whisper_model.h"

namespace voxpod::binding {
namespace {

Napi::Value info(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  auto devices = Napi::Array::New(env);
  const auto add = [&](const std::string& name, const std::string& description) {
    auto device = Napi::Object::New(env);
    device.Set("name", name);
    device.Set("description", description);
    devices.Set(devices.Length(), device);
  };
  add("cpu", cpu::model_name());
  const int count = at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  for (int i = 0; i < count; ++i) add("cuda:" + std::to_string(i), "CUDA device");

  auto features = Napi::Array::New(env);
  for (const std::string& feature : cpu::features()) features.Set(features.Length(), feature);
  auto processor = Napi::Object::New(env);
  processor.Set("model", cpu::model_name());
  processor.Set("cores", static_cast<double>(usable_cores()));
  processor.Set("features", features);
  processor.Set("dtype", dtype_name(make_placement("cpu", "auto")));

  auto out = Napi::Object::New(env);
  out.Set("torch", TORCH_VERSION);
  out.Set("devices", devices);
  out.Set("cpu", processor);
  return out;
}

/// The environment ends (process exit, or a worker thread's): computing threads stop before the
/// addon's memory goes.
void close(Environment* environment) {
  environment->closing->cancel(ErrorCode::kDisposed);
  environment->calls->close();
  for (const auto& loaded : environment->loaded) loaded.stop();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment(env);
  env.SetInstanceData(environment);
  env.AddCleanupHook(close, environment);

  const Napi::Function cancellation = JsCancellation::define(env);
  environment->cancellation = Napi::Persistent(cancellation);
  environment->feature_stream = Napi::Persistent(JsFeatureStream::define(env));
  environment->window = Napi::Persistent(JsWindow::define(env));
  environment->whisper_model = Napi::Persistent(JsWhisperModel::define(env));
  environment->vad_model = Napi::Persistent(JsVadModel::define(env));
  environment->vad_stream = Napi::Persistent(JsVadStream::define(env));
  environment->f5_model = Napi::Persistent(JsF5Model::define(env));

  exports.Set("info", Napi::Function::New(env, info, "info"));
  exports.Set("Cancellation", cancellation);
  exports.Set("Resampler", JsResampler::define(env));
  exports.Set("NoiseGenerator", JsNoiseGenerator::define(env));
  exports.Set("loadWhisper", Napi::Function::New(env, JsWhisperModel::load, "loadWhisper"));
  exports.Set("loadVad", Napi::Function::New(env, JsVadModel::load, "loadVad"));
  exports.Set("loadF5", Napi::Function::New(env, JsF5Model::load, "loadF5"));
  return exports;
}

NODE_API_MODULE(voxpod, init)

}  // namespace
}  // namespace voxpod::binding
