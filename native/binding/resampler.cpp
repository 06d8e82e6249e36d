#include "resampler.h"

#include "arguments.h"
#include "environment.h"

namespace voxpod::binding {

Napi::Function JsResampler::define(Napi::Env env) {
  return DefineClass(
      env, "Resampler",
      {InstanceMethod<&JsResampler::push>("push"), InstanceMethod<&JsResampler::finish>("finish")});
}

JsResampler::JsResampler(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JsResampler>(info) {
  const int64_t from = integer(info[0], "from");
  const int64_t to = integer(info[1], "to");
  try {
    state_ = std::make_shared<State>(from, to);
  } catch (const Error& error) {
    throw to_js(info.Env(), error);
  }
}

Napi::Value JsResampler::push(const Napi::CallbackInfo& info) {
  return run(info, samples(info[0], "pcm"), false);
}

Napi::Value JsResampler::finish(const Napi::CallbackInfo& info) { return run(info, {}, true); }

Napi::Value JsResampler::run(const Napi::CallbackInfo& info, std::span<const float> pcm,
                             bool last) {
  if (state_->finished || state_->busy.exchange(true)) {
    refuse(info.Env(), "A Resampler takes one block after another, up to the end");
  }
  state_->finished = last;
  Environment& environment = Environment::of(info.Env());
  const auto calls = environment.calls;
  using Pcm = std::vector<float>;
  return calls->start<Pcm>(
      info.Env(),
      [&](Done<Pcm> done) {
        calls->spawn([=, state = state_, closing = environment.closing, done = std::move(done)] {
          Outcome<Pcm> outcome = Pcm();
          try {
            outcome =
                last ? state->resampler.finish(*closing) : state->resampler.push(pcm, *closing);
          } catch (...) {
            outcome = current_error();
          }
          state->busy = false;
          done(std::move(outcome));
        });
      },
      [](Napi::Env env, Pcm& result) -> Napi::Value {
        auto out = Napi::Float32Array::New(env, result.size());
        std::copy(result.begin(), result.end(), out.Data());
        return out;
      },
      {info.This(), last ? info.This() : info[0]});
}

}  // namespace voxpod::binding
