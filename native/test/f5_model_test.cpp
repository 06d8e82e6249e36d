// The engine of F5-TTS and E2-TTS, on tiny random models: batching, cancellation, the queue, the
// end; and what a checkpoint must be.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <future>
#include <limits>

#include "check.h"
#include "f5/model.h"
#include "kernels/cpu/dispatch.h"
#include "tiny_f5.h"
#include "tiny_model.h"
#include "tiny_vocos.h"

namespace {

using namespace voxpod;
using namespace voxpod::f5;
using namespace voxpod::test;

using Tensors = std::map<std::string, at::Tensor>;

Tensors tiny(BackboneKind kind = BackboneKind::kDiT) { return f5_weights(tiny_f5(kind)); }

struct Loaded {
  Loaded(const Tensors& tensors, const ModelOptions& options) {
    const auto file = folder.path() / "model.safetensors";
    write_file(file, safetensors(tensors));
    const auto vocoder = folder.path() / "vocoder.safetensors";
    write_file(vocoder, safetensors(random_vocos(24, 40, 2)));
    model =
        std::make_unique<Model>(file, vocoder, options, nullptr, std::make_shared<Cancellation>());
  }
  explicit Loaded(const ModelOptions& options = {}) : Loaded(tiny(), options) {}
  TemporaryFolder folder;
  std::unique_ptr<Model> model;
};

std::vector<float> noise(int64_t count, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const at::Tensor out = at::randn({count}, generator, at::kFloat);
  return {out.const_data_ptr<float>(), out.const_data_ptr<float>() + count};
}

/// An utterance of `frames` frames, a third of them given; others for other seeds.
FlowRequest request(int64_t frames = 50, uint64_t seed = 0) {
  FlowRequest out;
  out.frames = frames;
  out.condition = noise(frames / 3 * 100, seed + 1000);
  for (int64_t i = 0; i < frames / 2; ++i) out.tokens.push_back((i * 7 + frames) % 40);
  out.noise = noise(frames * 100, seed);
  out.times = {0, 0.25F, 0.5F, 1};
  out.guidance = 2;
  return out;
}

/// Requests that differ in everything.
std::vector<FlowRequest> varied() {
  std::vector<FlowRequest> out;
  for (uint64_t i = 0; i < 7; ++i) {
    FlowRequest one = request(20 + 37 * static_cast<int64_t>(i), i);
    if (i % 3 == 1) one.guidance = 0;
    if (i % 3 == 2) one.method = Method::kMidpoint;
    if (i % 2 == 1) one.times = {0, 0.1F, 0.25F, 0.3F, 0.8F, 1};
    if (i == 4) one.keep.assign(one.condition.size() / 100, 1);
    if (i == 4) one.keep[2] = 0;
    out.push_back(std::move(one));
  }
  return out;
}

std::future<Outcome<at::Tensor>> start(Model& model, FlowRequest what,
                                       const CancellationPtr& cancellation = nullptr,
                                       std::function<void(double)> progress = nullptr) {
  auto made = std::make_shared<std::promise<Outcome<at::Tensor>>>();
  model.sample(std::move(what), std::move(progress), cancellation,
               [made](Outcome<at::Tensor> outcome) { made->set_value(std::move(outcome)); });
  return made->get_future();
}

at::Tensor get(std::future<Outcome<at::Tensor>> future) {
  Outcome<at::Tensor> outcome = future.get();
  if (const Error* error = std::get_if<Error>(&outcome)) throw *error;
  return std::get<at::Tensor>(outcome);
}

at::Tensor speak(Model& model, FlowRequest what) { return get(start(model, std::move(what))); }

std::vector<const char*> dtypes() {
  if (cpu::can_bfloat16()) return {"float32", "bfloat16"};
  return {"float32"};
}

}  // namespace

TEST(f5_model_test, "an utterance gives the same to the bit, alone or in a batch") {
  for (const BackboneKind kind : {BackboneKind::kDiT, BackboneKind::kUNetT}) {
    for (const char* dtype : dtypes()) {
      const Loaded loaded(tiny(kind), {.dtype = dtype});
      std::vector<at::Tensor> alone;
      for (const FlowRequest& one : varied()) alone.push_back(speak(*loaded.model, one));
      std::vector<std::future<Outcome<at::Tensor>>> together;
      for (const FlowRequest& one : varied()) together.push_back(start(*loaded.model, one));
      for (size_t i = 0; i < alone.size(); ++i) {
        const at::Tensor out = get(std::move(together[i]));
        EXPECT_LESS(relative_error(out, alone[i]), 1e-12);
        EXPECT(out.isfinite().all().item<bool>());
      }
    }
  }
}

TEST(f5_model_test, "more frames than a step takes wait for their turn") {
  const Loaded loaded({.dtype = "float32", .max_batch_frames = 60});
  std::vector<std::future<Outcome<at::Tensor>>> together;
  for (const FlowRequest& one : varied()) together.push_back(start(*loaded.model, one));
  for (auto& future : together) EXPECT_EQUAL(get(std::move(future)).size(1), 100);
}

TEST(f5_model_test, "kernels and ATen's operators give the same") {
  for (const bool extras : {false, true}) {
    Geometry geometry = tiny_f5(BackboneKind::kDiT);
    geometry.query_key_norm = geometry.long_skip = extras;
    const Tensors tensors = f5_weights(geometry);
    const Architecture architecture = {.rotary_first_head = extras, .average_upsampling = extras};
    ModelOptions options = {.dtype = "float32", .architecture = architecture};
    const Loaded kernels(tensors, options);
    options.cpu_kernels = false;
    const Loaded generic(tensors, options);
    const at::Tensor expected = speak(*generic.model, request());
    EXPECT_LESS(relative_error(speak(*kernels.model, request()), expected), 1e-4);
  }
}

TEST(f5_model_test, "bfloat16 stays near float32") {
  if (!cpu::can_bfloat16()) throw Skip("this CPU has no bfloat16");
  for (const BackboneKind kind : {BackboneKind::kDiT, BackboneKind::kUNetT}) {
    const Loaded exact(tiny(kind), {.dtype = "float32"});
    const at::Tensor expected = speak(*exact.model, request(150));
    for (const bool kernels : {true, false}) {
      const Loaded rounded(tiny(kind), {.dtype = "bfloat16", .cpu_kernels = kernels});
      const at::Tensor out = speak(*rounded.model, request(150));
      EXPECT_LESS(relative_error(out, expected), 0.05);
      const double mean = out.sub(expected).square().mean().sqrt().item<double>() /
                          expected.square().mean().sqrt().item<double>();
      EXPECT_LESS(mean, 0.01);
    }
  }
}

TEST(f5_model_test, "kept frames come back as they were given") {
  const Loaded loaded({.dtype = "float32"});
  FlowRequest what = request(30);
  what.keep.assign(10, 1);
  what.keep[3] = 0;
  const at::Tensor out = speak(*loaded.model, what);
  for (int64_t frame = 0; frame < 10; ++frame) {
    const bool same = out.select(0, frame).select(0, 5).item<float>() ==
                      what.condition[static_cast<size_t>(frame * 100 + 5)];
    EXPECT_EQUAL(same, frame != 3);
  }
}

TEST(f5_model_test, "mels and speech are the vocoder's, beside a flow that runs") {
  const Loaded loaded({.dtype = "float32"});
  const auto vocoder = load_vocoder(loaded.folder.path() / "vocoder.safetensors", Placement());
  EXPECT_EQUAL(loaded.model->vocoder_name(), "vocos");
  const std::vector<float> pcm = noise(24'000, 5);
  auto flow = start(*loaded.model, request(100));
  const auto call = [](const auto& begin) {
    auto made = std::make_shared<std::promise<Outcome<at::Tensor>>>();
    begin([made](Outcome<at::Tensor> outcome) { made->set_value(std::move(outcome)); });
    return get(made->get_future());
  };
  const at::Tensor mel =
      call([&](Done<at::Tensor> done) { loaded.model->mel(pcm, nullptr, std::move(done)); });
  const at::Tensor expected = vocoder->mel(at::from_blob(const_cast<float*>(pcm.data()), {24'000}));
  EXPECT_LESS(relative_error(mel, expected), 1e-6);
  const std::span<const float> rows(mel.const_data_ptr<float>(), static_cast<size_t>(mel.numel()));
  const at::Tensor speech =
      call([&](Done<at::Tensor> done) { loaded.model->vocode(rows, nullptr, std::move(done)); });
  EXPECT_LESS(relative_error(speech, vocoder->decode(mel, Cancellation())), 1e-6);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, call([&](Done<at::Tensor> done) {
                 loaded.model->vocode(rows.first(150), nullptr, std::move(done));
               }));
  EXPECT_EQUAL(get(std::move(flow)).size(0), 100);
}

TEST(f5_model_test, "progress rises to 1, once a step") {
  const Loaded loaded({.dtype = "float32"});
  for (const Method method : {Method::kEuler, Method::kMidpoint}) {
    FlowRequest what = request();
    what.method = method;
    auto seen = std::make_shared<std::vector<double>>();
    get(start(*loaded.model, what, nullptr, [seen](double part) { seen->push_back(part); }));
    EXPECT_EQUAL(seen->size(), 3U);
    EXPECT(std::is_sorted(seen->begin(), seen->end()));
    EXPECT_EQUAL(seen->back(), 1.0);
  }
}

TEST(f5_model_test, "a cancelled utterance ends, the others do not") {
  const Loaded loaded({.dtype = "float32"});
  const at::Tensor expected = speak(*loaded.model, request());
  const auto cancellation = std::make_shared<Cancellation>();
  FlowRequest endless = request(200, 3);
  endless.times.clear();
  for (int i = 0; i <= 4000; ++i) endless.times.push_back(static_cast<float>(i) / 4000);
  std::promise<void> begun;
  std::atomic<bool> first = true;
  auto cancelled = start(*loaded.model, endless, cancellation, [&](double) {
    if (first.exchange(false)) begun.set_value();
  });
  begun.get_future().wait();
  auto other = start(*loaded.model, request());
  EXPECT_LESS(relative_error(get(std::move(other)), expected), 1e-12);
  cancellation->cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, get(std::move(cancelled)));
}

TEST(f5_model_test, "the queue is bounded, and the end of the model ends every call") {
  const Loaded loaded({.dtype = "float32", .max_batch_frames = 1, .max_queue = 2});
  FlowRequest endless = request(200);
  endless.times.clear();
  for (int i = 0; i <= 4000; ++i) endless.times.push_back(static_cast<float>(i) / 4000);
  std::promise<void> begun;
  std::atomic<bool> first = true;
  auto active = start(*loaded.model, endless, nullptr, [&](double) {
    if (first.exchange(false)) begun.set_value();
  });
  begun.get_future().wait();
  auto waiting = start(*loaded.model, request());
  auto last = start(*loaded.model, request());
  EXPECT_ERROR(ErrorCode::kQueueFull, speak(*loaded.model, request()));
  loaded.model->stop();
  EXPECT_ERROR(ErrorCode::kDisposed, get(std::move(active)));
  EXPECT_ERROR(ErrorCode::kDisposed, get(std::move(waiting)));
  EXPECT_ERROR(ErrorCode::kDisposed, get(std::move(last)));
  EXPECT_ERROR(ErrorCode::kDisposed, speak(*loaded.model, request()));
}

TEST(f5_model_test, "a request that cannot be is refused") {
  const Loaded loaded({.dtype = "float32"});
  const auto refused = [&](const std::function<void(FlowRequest&)>& change) {
    FlowRequest what = request();
    change(what);
    EXPECT_ERROR(ErrorCode::kInvalidArgument, speak(*loaded.model, what));
  };
  refused([](FlowRequest& r) { r.frames = 0; });
  refused([](FlowRequest& r) { r.frames = 8193; });
  refused([](FlowRequest& r) { r.noise.pop_back(); });
  refused([](FlowRequest& r) { r.noise[3] = std::numeric_limits<float>::quiet_NaN(); });
  refused([](FlowRequest& r) { r.condition.pop_back(); });
  refused([](FlowRequest& r) { r.condition = r.noise, r.condition.resize(5100); });
  refused([](FlowRequest& r) { r.condition[3] = std::numeric_limits<float>::infinity(); });
  refused([](FlowRequest& r) { r.keep.assign(3, 1); });
  refused([](FlowRequest& r) { r.tokens[0] = 40; });
  refused([](FlowRequest& r) { r.tokens[0] = -1; });
  refused([](FlowRequest& r) { r.tokens.assign(51, 1); });
  refused([](FlowRequest& r) { r.times = {0}; });
  refused([](FlowRequest& r) { r.times = {0, 0.5F, 0.5F, 1}; });
  refused([](FlowRequest& r) { r.times = {-0.1F, 1}; });
  refused([](FlowRequest& r) { r.times = {0, 1.1F}; });
  refused([](FlowRequest& r) { r.guidance = -1; });
  refused([](FlowRequest& r) { r.guidance = std::nan(""); });
  // No text and no reference at all can be spoken.
  FlowRequest bare = request();
  bare.tokens.clear();
  bare.condition.clear();
  EXPECT_EQUAL(speak(*loaded.model, bare).size(0), 50);
}

TEST(f5_model_test, "what training wraps around the tensors does not matter") {
  const Tensors averaged = tiny();
  const Loaded loaded(averaged, {.dtype = "float32"});
  const at::Tensor expected = speak(*loaded.model, request());
  const std::string average = "ema_model.";
  for (const std::string wrapper : {"", "ema_model_state_dict.ema_model.", "model_state_dict."}) {
    Tensors renamed;
    for (const auto& [name, tensor] : averaged) {
      renamed[wrapper + name.substr(average.size())] = tensor;
      if (wrapper.starts_with("ema")) renamed["model_state_dict." + name] = tensor.mul(2);
    }
    renamed["initted"] = renamed["step"] = at::randn({1});
    renamed[wrapper + "mel_spec.mel_stft.spectrogram.window"] = at::randn({8});
    const Loaded other(renamed, {.dtype = "float32"});
    EXPECT_LESS(relative_error(speak(*other.model, request()), expected), 1e-12);
  }
}

TEST(f5_model_test, "a checkpoint that is none is refused") {
  const auto refused = [](ErrorCode wanted, const std::function<void(Tensors&)>& change,
                          const ModelOptions& options = {}) {
    Tensors tensors = tiny();
    change(tensors);
    EXPECT_ERROR(wanted, Loaded(tensors, options));
  };
  const std::string at = "ema_model.transformer.";
  refused(ErrorCode::kModelInvalid, [&](Tensors& t) {
    t[at + "transformer_blocks.1.ff.ff.2.weight"].select(0, 3).select(0, 4).fill_(
        std::numeric_limits<float>::quiet_NaN());
  });
  refused(ErrorCode::kModelInvalid, [&](Tensors& t) {
    t[at + "proj_out.bias"].select(0, 3).fill_(-std::numeric_limits<float>::infinity());
  });
  refused(ErrorCode::kModelInvalid, [&](Tensors& t) { t.erase(at + "proj_out.weight"); });
  refused(ErrorCode::kModelInvalid,
          [&](Tensors& t) { t[at + "norm_out.linear.bias"] = at::randn({3}); });
  refused(ErrorCode::kModelInvalid,
          [&](Tensors& t) { t[at + "rotary_embed.inv_freq"] = at::randn({33}); });
  refused(ErrorCode::kModelUnsupported, [&](Tensors& t) { t = {{"a", at::randn({3})}}; });
  refused(ErrorCode::kInvalidArgument, [](Tensors&) {}, {.dtype = "int8"});
  refused(ErrorCode::kInvalidArgument, [](Tensors&) {}, {.max_batch_frames = 0});
  refused(ErrorCode::kInvalidArgument, [](Tensors&) {},
          {.architecture = {.mask_text_padding = false, .average_upsampling = true}});
}
