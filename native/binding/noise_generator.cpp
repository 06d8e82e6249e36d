#include "noise_generator.h"

#include "arguments.h"

namespace voxpod::binding {
namespace {

/// Numbers drawn at once: those of far more frames than an utterance may have.
constexpr int64_t kMaxCount = int64_t{1} << 26;

uint64_t seed_of(const Napi::Value& value) {
  const int64_t seed = integer(value, "seed");
  if (seed < 0) refuse(value.Env(), "Expected a seed of at least 0");
  return static_cast<uint64_t>(seed);
}

}  // namespace

Napi::Function JsNoiseGenerator::define(Napi::Env env) {
  return DefineClass(env, "NoiseGenerator", {InstanceMethod<&JsNoiseGenerator::draw>("draw")});
}

JsNoiseGenerator::JsNoiseGenerator(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsNoiseGenerator>(info), generator_(seed_of(info[0])) {}

Napi::Value JsNoiseGenerator::draw(const Napi::CallbackInfo& info) {
  const int64_t count = integer(info[0], "count");
  if (count < 0 || count > kMaxCount) refuse(info.Env(), "Expected a count from 0 to 2^26");
  auto out = Napi::Float32Array::New(info.Env(), static_cast<size_t>(count));
  generator_.draw({out.Data(), static_cast<size_t>(count)});
  return out;
}

}  // namespace voxpod::binding
