#include "f5_model.h"

#include <algorithm>

#include "arguments.h"
#include "cancellation.h"
#include "environment.h"
#include "vocoder/vocoder.h"

namespace voxpod::binding {

using f5::Model;

Napi::Function JsF5Model::define(Napi::Env env) {
  return DefineClass(
      env, "F5Model",
      {InstanceAccessor<&JsF5Model::geometry>("geometry"),
       InstanceAccessor<&JsF5Model::placement>("placement"), InstanceMethod<&JsF5Model::mel>("mel"),
       InstanceMethod<&JsF5Model::sample>("sample"), InstanceMethod<&JsF5Model::vocode>("vocode"),
       InstanceMethod<&JsF5Model::dispose>("dispose")});
}

JsF5Model::JsF5Model(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsF5Model>(info), model_(loaded_model<Model>(info)) {}

namespace {

f5::Architecture architecture(const Napi::Object& from) {
  const std::string heads = text(from.Get("rotaryHeads"), "architecture.rotaryHeads");
  if (heads != "first" && heads != "all") {
    refuse(from.Env(), "Expected first or all for architecture.rotaryHeads");
  }
  return {
      .mask_text_padding = truth(from.Get("maskTextPadding"), "architecture.maskTextPadding"),
      .rotary_first_head = heads == "first",
      .average_upsampling = truth(from.Get("averageUpsampling"), "architecture.averageUpsampling"),
  };
}

f5::ModelOptions model_options(const Napi::Object& from) {
  auto out = engine_options<f5::ModelOptions>(from);
  out.max_batch_frames =
      std::clamp<int64_t>(integer(from.Get("maxBatchFrames"), "maxBatchFrames"), 0, 1 << 30);
  out.architecture = architecture(object(from.Get("architecture"), "architecture"));
  return out;
}

f5::FlowRequest flow_request(const Napi::Object& from) {
  f5::FlowRequest out;
  out.condition = floats(from.Get("condition"), "condition");
  if (const Napi::Value keep = from.Get("keep"); !keep.IsUndefined()) {
    out.keep = bytes(keep, "keep");
    if (out.keep.empty() && !out.condition.empty()) refuse(from.Env(), "keep is empty");
  }
  out.tokens = tokens(from.Get("tokens"), "tokens");
  out.frames = integer(from.Get("frames"), "frames");
  out.noise = floats(from.Get("noise"), "noise");
  out.times = floats(from.Get("times"), "times");
  const std::string method = text(from.Get("method"), "method");
  if (method != "euler" && method != "midpoint") {
    refuse(from.Env(), "Expected euler or midpoint for method");
  }
  out.method = method == "euler" ? f5::Method::kEuler : f5::Method::kMidpoint;
  out.guidance = number(from.Get("guidance"), "guidance");
  return out;
}

Napi::Value to_value(Napi::Env env, at::Tensor& numbers) {
  return to_array(env, {numbers.const_data_ptr<float>(), static_cast<size_t>(numbers.numel())});
}

}  // namespace

Napi::Value JsF5Model::load(const Napi::CallbackInfo& info) {
  const Environment& environment = Environment::of(info.Env());
  return load_model<Model>(
      info.Env(), &Environment::f5_model,
      [checkpoint = text(info[0], "checkpoint"), vocoder = text(info[1], "vocoder"),
       options = model_options(object(info[2], "options")),
       progress = environment.calls->progress(info[3]),
       cancellation =
           std::make_shared<Cancellation>(cancellation_of(info[4]), environment.closing)] {
        return std::make_shared<Model>(checkpoint, vocoder, options, progress, cancellation);
      });
}

Napi::Value JsF5Model::geometry(const Napi::CallbackInfo& info) {
  const f5::Geometry& g = model_->geometry();
  auto out = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, int64_t value) {
    out.Set(name, static_cast<double>(value));
  };
  out.Set("backbone", g.backbone == f5::BackboneKind::kDiT ? "dit" : "unett");
  set("width", g.width);
  set("heads", g.heads);
  set("layers", g.layers);
  set("textWidth", g.text_width);
  set("vocabulary", g.vocabulary);
  set("mels", g.mels);
  set("sampleRate", kVocoderRate);
  set("hop", kVocoderHop);
  out.Set("vocoder", model_->vocoder_name());
  return out;
}

Napi::Value JsF5Model::placement(const Napi::CallbackInfo& info) {
  return placement_object(info.Env(), model_->placement(), model_->weight_bytes());
}

Napi::Value JsF5Model::mel(const Napi::CallbackInfo& info) {
  const std::span<const float> pcm = samples(info[0], "pcm");
  const auto cancellation = cancellation_of(info[1]);
  return Environment::of(info.Env())
      .calls->start<at::Tensor>(
          info.Env(),
          [&](Done<at::Tensor> done) { model_->mel(pcm, cancellation, std::move(done)); }, to_value,
          {info.This(), info[0]});
}

Napi::Value JsF5Model::sample(const Napi::CallbackInfo& info) {
  const auto& calls = Environment::of(info.Env()).calls;
  f5::FlowRequest request = flow_request(object(info[0], "request"));
  auto progress = calls->progress(info[1]);
  const auto cancellation = cancellation_of(info[2]);
  return calls->start<at::Tensor>(info.Env(),
                                  [&](Done<at::Tensor> done) {
                                    model_->sample(std::move(request), std::move(progress),
                                                   cancellation, std::move(done));
                                  },
                                  to_value, {info.This()});
}

Napi::Value JsF5Model::vocode(const Napi::CallbackInfo& info) {
  const std::span<const float> mel = samples(info[0], "mel");
  const auto cancellation = cancellation_of(info[1]);
  return Environment::of(info.Env())
      .calls->start<at::Tensor>(
          info.Env(),
          [&](Done<at::Tensor> done) { model_->vocode(mel, cancellation, std::move(done)); },
          to_value, {info.This(), info[0]});
}

Napi::Value JsF5Model::dispose(const Napi::CallbackInfo& info) { return stop_model(info, model_); }

}  // namespace voxpod::binding
