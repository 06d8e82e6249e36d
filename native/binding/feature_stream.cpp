#include "feature_stream.h"

#include "arguments.h"
#include "cancellation.h"
#include "environment.h"

namespace voxpod::binding {

Napi::Function JsFeatureStream::define(Napi::Env env) {
  return DefineClass(env, "FeatureStream",
                     {InstanceAccessor<&JsFeatureStream::lookahead>("lookahead"),
                      InstanceMethod<&JsFeatureStream::push>("push"),
                      InstanceMethod<&JsFeatureStream::finish>("finish"),
                      InstanceMethod<&JsFeatureStream::drop_before>("dropBefore"),
                      InstanceMethod<&JsFeatureStream::dispose>("dispose")});
}

namespace {

Napi::Value frames_to_js(Napi::Env env, int64_t& frames) {
  return Napi::Number::New(env, static_cast<double>(frames));
}

}  // namespace

Napi::Value JsFeatureStream::lookahead(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(LogMelStream::kLookahead));
}

Napi::Value JsFeatureStream::push(const Napi::CallbackInfo& info) {
  const auto [model, features] = get(info.Env());
  const std::span<const float> pcm = samples(info[0], "pcm");
  const auto cancellation = cancellation_of(info[1]);
  return Environment::of(info.Env())
      .calls->start<int64_t>(
          info.Env(),
          [&](Done<int64_t> done) { model->push(features, pcm, cancellation, std::move(done)); },
          frames_to_js, {info.This(), info[0]});
}

Napi::Value JsFeatureStream::finish(const Napi::CallbackInfo& info) {
  const auto [model, features] = get(info.Env());
  const auto cancellation = cancellation_of(info[0]);
  return Environment::of(info.Env())
      .calls->start<int64_t>(
          info.Env(),
          [&](Done<int64_t> done) { model->finish(features, cancellation, std::move(done)); },
          frames_to_js, {info.This()});
}

void JsFeatureStream::drop_before(const Napi::CallbackInfo& info) {
  get(info.Env()).features->drop_before(integer(info[0], "frame"));
}

}  // namespace voxpod::binding
