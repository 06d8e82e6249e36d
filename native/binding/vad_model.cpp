#include "vad_model.h"

#include "arguments.h"
#include "cancellation.h"
#include "environment.h"

namespace voxpod::binding {

using Shared = std::shared_ptr<vad::Model>;

namespace {

/// Calls of all streams that may wait: of each stream there is usually one.
constexpr size_t kMaxQueue = 4096;

Napi::Value to_js(Napi::Env env, std::vector<float>& numbers) {
  auto out = Napi::Float32Array::New(env, numbers.size());
  std::copy(numbers.begin(), numbers.end(), out.Data());
  return out;
}

/// Only the addon makes these objects: it hands the model over in an external value.
Shared model_of(const Napi::CallbackInfo& info, const char* advice) {
  if (!info[0].IsExternal()) refuse(info.Env(), advice);
  return *info[0].As<Napi::External<Shared>>().Data();
}

}  // namespace

Napi::Function JsVadModel::define(Napi::Env env) {
  return DefineClass(env, "VadModel",
                     {InstanceMethod<&JsVadModel::stream>("stream"),
                      InstanceMethod<&JsVadModel::dispose>("dispose")});
}

JsVadModel::JsVadModel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsVadModel>(info), model_(model_of(info, "A VadModel is made by loadVad")) {}

Napi::Value JsVadModel::load(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = text(info[0], "path");
  const auto calls = Environment::of(env).calls;
  return calls->start<Shared>(
      env,
      [&](Done<Shared> done) {
        calls->spawn([=, done = std::move(done)] {
          try {
            done(std::make_shared<vad::Model>(path, kMaxQueue));
          } catch (...) {
            done(current_error());
          }
        });
      },
      [](Napi::Env loop, Shared& model) -> Napi::Value {
        Environment& data = Environment::of(loop);
        std::erase_if(data.detectors, [](const auto& other) { return other.expired(); });
        data.detectors.push_back(model);
        return data.vad_model.New({Napi::External<Shared>::New(loop, &model)});
      },
      {});
}

Napi::Value JsVadModel::stream(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env())
      .vad_stream.New({Napi::External<Shared>::New(info.Env(), &model_)});
}

Napi::Value JsVadModel::dispose(const Napi::CallbackInfo& info) {
  const auto calls = Environment::of(info.Env()).calls;
  return calls->start<bool>(
      info.Env(),
      [&](Done<bool> done) {
        calls->spawn([model = model_, done = std::move(done)] {
          model->stop();
          done(true);
        });
      },
      [](Napi::Env env, bool&) -> Napi::Value { return env.Undefined(); }, {info.This()});
}

Napi::Function JsVadStream::define(Napi::Env env) {
  return DefineClass(
      env, "VadStream",
      {InstanceMethod<&JsVadStream::push>("push"), InstanceMethod<&JsVadStream::finish>("finish")});
}

JsVadStream::JsVadStream(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsVadStream>(info),
      model_(model_of(info, "A VadStream is made by VadModel.stream")) {}

Napi::Value JsVadStream::push(const Napi::CallbackInfo& info) {
  const std::span<const float> pcm = samples(info[0], "pcm");
  const auto cancellation = cancellation_of(info[1]);
  return Environment::of(info.Env())
      .calls->start<std::vector<float>>(
          info.Env(),
          [&](Done<std::vector<float>> done) {
            model_->push(stream_, pcm, cancellation, std::move(done));
          },
          [](Napi::Env env, std::vector<float>& out) { return to_js(env, out); },
          {info.This(), info[0]});
}

Napi::Value JsVadStream::finish(const Napi::CallbackInfo& info) {
  const auto cancellation = cancellation_of(info[0]);
  return Environment::of(info.Env())
      .calls->start<std::vector<float>>(
          info.Env(),
          [&](Done<std::vector<float>> done) {
            model_->finish(stream_, cancellation, std::move(done));
          },
          [](Napi::Env env, std::vector<float>& out) { return to_js(env, out); }, {info.This()});
}

}  // namespace voxpod::binding
