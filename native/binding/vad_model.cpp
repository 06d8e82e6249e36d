#include "vad_model.h"

#include "arguments.h"
#include "cancellation.h"
#include "environment.h"

namespace voxpod::binding {

namespace {

/// Calls of all streams that may wait: of each stream there is usually one.
constexpr size_t kMaxQueue = 4096;

Napi::Value to_value(Napi::Env env, std::vector<float>& numbers) { return to_array(env, numbers); }

}  // namespace

Napi::Function JsVadModel::define(Napi::Env env) {
  return DefineClass(env, "VadModel",
                     {InstanceMethod<&JsVadModel::stream>("stream"),
                      InstanceMethod<&JsVadModel::dispose>("dispose")});
}

JsVadModel::JsVadModel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsVadModel>(info), model_(loaded_model<vad::Model>(info)) {}

Napi::Value JsVadModel::load(const Napi::CallbackInfo& info) {
  return load_model<vad::Model>(
      info.Env(), &Environment::vad_model,
      [path = text(info[0], "path")] { return std::make_shared<vad::Model>(path, kMaxQueue); });
}

Napi::Value JsVadModel::stream(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env())
      .vad_stream.New({Napi::External<std::shared_ptr<vad::Model>>::New(info.Env(), &model_)});
}

Napi::Value JsVadModel::dispose(const Napi::CallbackInfo& info) { return stop_model(info, model_); }

Napi::Function JsVadStream::define(Napi::Env env) {
  return DefineClass(
      env, "VadStream",
      {InstanceMethod<&JsVadStream::push>("push"), InstanceMethod<&JsVadStream::finish>("finish")});
}

JsVadStream::JsVadStream(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsVadStream>(info), model_(loaded_model<vad::Model>(info)) {}

Napi::Value JsVadStream::push(const Napi::CallbackInfo& info) {
  const std::span<const float> pcm = samples(info[0], "pcm");
  const auto cancellation = cancellation_of(info[1]);
  return Environment::of(info.Env())
      .calls->start<std::vector<float>>(info.Env(),
                                        [&](Done<std::vector<float>> done) {
                                          model_->push(stream_, pcm, cancellation, std::move(done));
                                        },
                                        to_value, {info.This(), info[0]});
}

Napi::Value JsVadStream::finish(const Napi::CallbackInfo& info) {
  const auto cancellation = cancellation_of(info[0]);
  return Environment::of(info.Env())
      .calls->start<std::vector<float>>(info.Env(),
                                        [&](Done<std::vector<float>> done) {
                                          model_->finish(stream_, cancellation, std::move(done));
                                        },
                                        to_value, {info.This()});
}

}  // namespace voxpod::binding
