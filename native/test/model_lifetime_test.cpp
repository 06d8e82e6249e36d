// The engine, on a tiny random model: cancellation, the queue, loading, the end.
#include "loaded_model.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;

TEST(model_lifetime_test, "cancellation ends one call and leaves the others") {
  const Loaded loaded;
  Model& model = *loaded.model;
  const Model::Window window = encode(model, features(1));
  const auto cancel = std::make_shared<Cancellation>();
  auto other = start(model, window, request());
  auto cancelled = start(model, window, request(), cancel);
  cancel->cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, get(std::move(cancelled)));
  EXPECT(!get(std::move(other)).tokens.empty());
  EXPECT_ERROR(ErrorCode::kCancelled, encode(model, features(1), cancel));
  EXPECT(!get(start(model, window, request())).tokens.empty());
}

TEST(model_lifetime_test,
     "features are computed on the model's thread, in the order of the calls") {
  const Loaded loaded;
  Model& model = *loaded.model;
  const Model::Features stream = model.features();
  const std::vector<float> pcm(100 * kWhisperHop, 0.1F);
  std::vector<std::future<Outcome<int64_t>>> calls;
  for (int i = 0; i < 21; ++i) {
    auto [done, future] = promise<int64_t>();
    if (i < 20) {
      model.push(stream, pcm, nullptr, std::move(done));
    } else {
      model.finish(stream, nullptr, std::move(done));
    }
    calls.push_back(std::move(future));
  }
  EXPECT_EQUAL(get(std::move(calls[10])), 1024);
  EXPECT_EQUAL(get(std::move(calls[20])), 2000);
}

TEST(model_lifetime_test, "a full queue refuses, a stopped model ends every call") {
  const Loaded loaded({.max_queue = 4});
  Model& model = *loaded.model;
  const Model::Window window = encode(model, features(1));
  std::vector<std::future<Outcome<Model::Window>>> calls;
  for (int i = 0; i < 40; ++i) {
    auto [done, future] = promise<Model::Window>();
    model.encode(features(1), 0, 400, nullptr, std::move(done));
    calls.push_back(std::move(future));
  }
  auto decoding = start(model, window, request());
  model.stop();
  model.stop();
  int full = 0;
  int disposed = 0;
  for (auto& call : calls) {
    const auto code = error_of([&] { get(std::move(call)); });
    full += code == ErrorCode::kQueueFull ? 1 : 0;
    disposed += code == ErrorCode::kDisposed ? 1 : 0;
  }
  EXPECT_LESS(0, full);
  EXPECT_LESS(0, disposed);
  EXPECT(error_of([&] { get(std::move(decoding)); }).has_value());
  EXPECT_ERROR(ErrorCode::kDisposed, get(start(model, window, request())));
}

TEST(model_lifetime_test, "decodings that wait for the batch are bounded, too") {
  const Loaded loaded({.max_batch = 1, .max_queue = 2});
  Model& model = *loaded.model;
  const Model::Features mel = features(1);
  const Model::Window window = encode(model, mel);
  DecodeRequest options = request();
  options.best_of = 1;
  options.suppress = {257};
  options.max_tokens = 62;
  std::vector<std::future<Outcome<DecodeResult>>> calls;
  for (int i = 0; i < 40; ++i) {
    calls.push_back(start(model, window, options));
    encode(model, mel);  // the thread has done what was posted before
  }
  int full = 0;
  for (auto& call : calls) {
    const auto code = error_of([&] { get(std::move(call)); });
    EXPECT(!code || *code == ErrorCode::kQueueFull);
    full += code ? 1 : 0;
  }
  EXPECT_LESS(10, full);
  EXPECT_EQUAL(get(start(model, window, options)).tokens.size(), size_t{62});
}

TEST(model_lifetime_test,
     "loading: cancellation, unknown device and type, a missing tensor, another shape") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path());
  const auto load = [&](const ModelOptions& options, bool cancelled = false) {
    const auto cancel = std::make_shared<Cancellation>();
    if (cancelled) cancel->cancel();
    const Model model(folder.path(), options, nullptr, cancel);
  };
  load({});
  EXPECT_ERROR(ErrorCode::kCancelled, load({}, true));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, load({.device = "tpu"}));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, load({.device = "cuda:x"}));
  EXPECT_ERROR(ErrorCode::kDeviceUnavailable, load({.device = "cuda:99"}));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, load({.dtype = "int3"}));
  EXPECT_ERROR(ErrorCode::kModelUnsupported, load({.dtype = "float16"}));
  auto weights = tiny_weights();
  const at::Tensor bias = weights.at("model.encoder.conv1.bias");
  weights["model.encoder.conv1.bias"] = bias.narrow(0, 0, 63).clone();
  write_file(folder.path() / "model.safetensors", safetensors(weights));
  EXPECT_ERROR(ErrorCode::kModelInvalid, load({}));
  weights.erase("model.encoder.conv1.bias");
  write_file(folder.path() / "model.safetensors", safetensors(weights));
  EXPECT_ERROR(ErrorCode::kModelInvalid, load({}));
}

}  // namespace
