#include "whisper_model.h"

#include "arguments.h"
#include "cancellation.h"
#include "environment.h"

namespace voxpod::binding {

using whisper::Model;

Napi::Function JsWindow::define(Napi::Env env) {
  return DefineClass(env, "EncodedWindow", {InstanceMethod<&JsWindow::dispose>("dispose")});
}

Napi::Function JsWhisperModel::define(Napi::Env env) {
  return DefineClass(env, "WhisperModel",
                     {InstanceAccessor<&JsWhisperModel::geometry>("geometry"),
                      InstanceAccessor<&JsWhisperModel::placement>("placement"),
                      InstanceMethod<&JsWhisperModel::features>("features"),
                      InstanceMethod<&JsWhisperModel::encode>("encode"),
                      InstanceMethod<&JsWhisperModel::detect_language>("detectLanguage"),
                      InstanceMethod<&JsWhisperModel::decode>("decode"),
                      InstanceMethod<&JsWhisperModel::align>("align"),
                      InstanceMethod<&JsWhisperModel::dispose>("dispose")});
}

JsWhisperModel::JsWhisperModel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JsWhisperModel>(info), model_(loaded_model<Model>(info)) {}

namespace {

whisper::ModelOptions model_options(const Napi::Object& from) {
  auto out = engine_options<whisper::ModelOptions>(from);
  out.max_batch = std::clamp<int64_t>(integer(from.Get("maxBatch"), "maxBatch"), 0, 1024);
  return out;
}

whisper::DecodeRequest decode_request(const Napi::Object& from) {
  whisper::DecodeRequest out;
  out.prompt = tokens(from.Get("prompt"), "prompt");
  out.start_of_transcript = integer(from.Get("startOfTranscript"), "startOfTranscript");
  out.sample_begin = integer(from.Get("sampleBegin"), "sampleBegin");
  out.max_tokens = integer(from.Get("maxTokens"), "maxTokens");
  out.temperature = number(from.Get("temperature"), "temperature");
  out.best_of = integer(from.Get("bestOf"), "bestOf");
  const auto given = [&](const char* name) { return !from.Get(name).IsUndefined(); };
  if (given("beamSize")) out.beam_size = integer(from.Get("beamSize"), "beamSize");
  if (given("patience")) out.patience = number(from.Get("patience"), "patience");
  if (given("lengthPenalty")) {
    out.length_penalty = number(from.Get("lengthPenalty"), "lengthPenalty");
  }
  if (given("repetitionPenalty")) {
    out.repetition_penalty = number(from.Get("repetitionPenalty"), "repetitionPenalty");
  }
  if (given("noRepeatNgramSize")) {
    out.no_repeat_ngram = integer(from.Get("noRepeatNgramSize"), "noRepeatNgramSize");
  }
  out.seed = static_cast<uint64_t>(integer(from.Get("seed"), "seed"));
  out.suppress = tokens(from.Get("suppress"), "suppress");
  out.suppress_first = tokens(from.Get("suppressFirst"), "suppressFirst");
  out.end_of_text = integer(from.Get("endOfText"), "endOfText");
  out.no_speech = integer(from.Get("noSpeech"), "noSpeech");
  if (const Napi::Value rules = from.Get("timestamps"); !rules.IsNull()) {
    const Napi::Object stamps = object(rules, "timestamps");
    out.timestamps = whisper::TimestampRules{
        .begin = integer(stamps.Get("begin"), "timestamps.begin"),
        .none = integer(stamps.Get("none"), "timestamps.none"),
        .max_initial = integer(stamps.Get("maxInitial"), "timestamps.maxInitial"),
    };
  }
  return out;
}

whisper::AlignRequest align_request(const Napi::Object& from) {
  whisper::AlignRequest out;
  out.head = tokens(from.Get("head"), "head");
  out.text = tokens(from.Get("text"), "text");
  out.end_of_text = integer(from.Get("endOfText"), "endOfText");
  out.frames = integer(from.Get("frames"), "frames");
  return out;
}

Napi::Int32Array to_js(Napi::Env env, const std::vector<int64_t>& numbers) {
  auto out = Napi::Int32Array::New(env, numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) out[i] = static_cast<int32_t>(numbers[i]);
  return out;
}

Napi::Value to_js(Napi::Env env, const whisper::Alignment& alignment) {
  auto out = Napi::Object::New(env);
  out.Set("starts", to_js(env, alignment.starts));
  out.Set("probabilities", to_array(env, alignment.probabilities));
  return out;
}

Napi::Value to_js(Napi::Env env, const whisper::DecodeResult& result) {
  auto out = Napi::Object::New(env);
  out.Set("tokens", to_js(env, result.tokens));
  out.Set("averageLogProbability", result.average_log_probability);
  out.Set("noSpeechProbability", result.no_speech_probability);
  return out;
}

}  // namespace

Napi::Value JsWhisperModel::load(const Napi::CallbackInfo& info) {
  const Environment& environment = Environment::of(info.Env());
  return load_model<Model>(
      info.Env(), &Environment::whisper_model,
      [folder = text(info[0], "folder"), options = model_options(object(info[1], "options")),
       progress = environment.calls->progress(info[2]),
       cancellation =
           std::make_shared<Cancellation>(cancellation_of(info[3]), environment.closing)] {
        return std::make_shared<Model>(folder, options, progress, cancellation);
      });
}

Napi::Value JsWhisperModel::geometry(const Napi::CallbackInfo& info) {
  const whisper::Geometry& g = model_->geometry();
  auto out = Napi::Object::New(info.Env());
  out.Set("mels", static_cast<double>(g.mels));
  out.Set("audioContext", static_cast<double>(g.audio_context));
  out.Set("textContext", static_cast<double>(g.text_context));
  out.Set("width", static_cast<double>(g.width));
  out.Set("heads", static_cast<double>(g.decoder_heads));
  out.Set("encoderLayers", static_cast<double>(g.encoder_layers));
  out.Set("decoderLayers", static_cast<double>(g.decoder_layers));
  out.Set("vocabulary", static_cast<double>(g.vocabulary));
  return out;
}

Napi::Value JsWhisperModel::placement(const Napi::CallbackInfo& info) {
  return placement_object(info.Env(), model_->placement(), model_->weight_bytes());
}

Napi::Value JsWhisperModel::features(const Napi::CallbackInfo& info) {
  const Napi::Object out = Environment::of(info.Env()).feature_stream.New({});
  JsFeatureStream::Unwrap(out)->hold(info.Env(), {model_, model_->features()}, 0);
  return out;
}

Napi::Value JsWhisperModel::encode(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const Model::Features features =
      unwrap<JsFeatureStream>(info[0], environment.feature_stream, "FeatureStream")
          ->get(info.Env())
          .features;
  const int64_t start = integer(info[1], "start");
  const int64_t frames = integer(info[2], "frames");
  const auto cancellation = cancellation_of(info[3]);
  return environment.calls->start<Model::Window>(
      info.Env(),
      [&](Done<Model::Window> done) {
        model_->encode(features, start, frames, cancellation, std::move(done));
      },
      [](Napi::Env env, Model::Window& window) -> Napi::Value {
        const Napi::Object out = Environment::of(env).window.New({});
        const int64_t bytes = window->bytes();
        JsWindow::Unwrap(out)->hold(env, std::move(window), bytes);
        return out;
      },
      {info.This(), info[0]});
}

Napi::Value JsWhisperModel::detect_language(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const Model::Window window =
      unwrap<JsWindow>(info[0], environment.window, "EncodedWindow")->get(info.Env());
  const int64_t start = integer(info[1], "startOfTranscript");
  std::vector<int64_t> languages = tokens(info[2], "languages");
  const auto cancellation = cancellation_of(info[3]);
  return environment.calls->start<std::vector<float>>(
      info.Env(),
      [&](Done<std::vector<float>> done) {
        model_->detect_language(window, start, std::move(languages), cancellation, std::move(done));
      },
      [](Napi::Env env, std::vector<float>& probabilities) -> Napi::Value {
        return to_array(env, probabilities);
      },
      {info.This(), info[0]});
}

Napi::Value JsWhisperModel::decode(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const Model::Window window =
      unwrap<JsWindow>(info[0], environment.window, "EncodedWindow")->get(info.Env());
  whisper::DecodeRequest request = decode_request(object(info[1], "request"));
  const auto cancellation = cancellation_of(info[2]);
  return environment.calls->start<whisper::DecodeResult>(
      info.Env(),
      [&](Done<whisper::DecodeResult> done) {
        model_->decode(window, std::move(request), cancellation, std::move(done));
      },
      [](Napi::Env env, whisper::DecodeResult& result) { return to_js(env, result); },
      {info.This(), info[0]});
}

Napi::Value JsWhisperModel::align(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const Model::Window window =
      unwrap<JsWindow>(info[0], environment.window, "EncodedWindow")->get(info.Env());
  whisper::AlignRequest request = align_request(object(info[1], "request"));
  const auto cancellation = cancellation_of(info[2]);
  return environment.calls->start<whisper::Alignment>(
      info.Env(),
      [&](Done<whisper::Alignment> done) {
        model_->align(window, std::move(request), cancellation, std::move(done));
      },
      [](Napi::Env env, whisper::Alignment& alignment) { return to_js(env, alignment); },
      {info.This(), info[0]});
}

Napi::Value JsWhisperModel::dispose(const Napi::CallbackInfo& info) {
  return stop_model(info, model_);
}

}  // namespace voxpod::binding
