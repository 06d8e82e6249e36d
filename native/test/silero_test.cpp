// The detector on random weights: streams, bad files, bad samples, cancellation, the end.
#include "vad/silero.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/reflection_pad1d.h>
#include <ATen/ops/zeros.h>

#include <cstring>
#include <future>
#include <limits>
#include <random>

#include "check.h"
#include "tiny_model.h"
#include "vad/model.h"

namespace {

using namespace voxpod;
using namespace voxpod::vad;
using namespace voxpod::test;

std::map<std::string, at::Tensor> random_weights() {
  auto generator = at::detail::createCPUGenerator(5);
  std::map<std::string, at::Tensor> out;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, double scale) {
    out[name] = at::randn(shape, generator, at::kFloat).mul(scale);
  };
  add("encoder.feature_extractor.forward_basis_buffer", {258, 1, 256}, 0.1);
  const int64_t channels[] = {129, 128, 64, 64, 128};
  for (int i = 0; i < 4; ++i) {
    const std::string name = "encoder.conv_layers." + std::to_string(i);
    add(name + ".weight", {channels[i + 1], channels[i], 3}, 0.1);
    add(name + ".bias", {channels[i + 1]}, 0.1);
  }
  add("onnx::LSTM_209", {1, 512, 128}, 0.1);
  add("onnx::LSTM_210", {1, 512, 128}, 0.1);
  add("onnx::LSTM_211", {1, 1024}, 0.1);
  add("decoder.conv1d.weight", {1, 128, 1}, 0.5);
  add("decoder.conv1d.bias", {1}, 0.5);
  return out;
}

std::vector<float> noise(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> out(size);
  for (float& x : out) x = normal(random);
  return out;
}

struct Weights {
  Weights() {
    path = folder.path() / "weights.safetensors";
    write_file(path, safetensors(random_weights()));
  }
  TemporaryFolder folder;
  std::filesystem::path path;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void append(std::vector<float>& to, const std::vector<float>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// The network by ATen's operators in float64, window by window.
std::vector<double> reference(const std::vector<float>& pcm) {
  auto weights = random_weights();
  const auto get = [&](const std::string& name) { return weights.at(name).to(at::kDouble); };
  at::Tensor audio = at::zeros({kContext + std::ssize(pcm)}, at::kDouble);
  for (int64_t i = 0; i < std::ssize(pcm); ++i) audio[kContext + i] = pcm[static_cast<size_t>(i)];
  at::Tensor hidden = at::zeros({kHidden}, at::kDouble);
  at::Tensor cell = at::zeros({kHidden}, at::kDouble);
  const at::Tensor biases = get("onnx::LSTM_211").view({2, 512}).sum(0);
  std::vector<double> out;
  for (int64_t at = 0; at + kWindow <= std::ssize(pcm); at += kWindow) {
    at::Tensor x =
        at::reflection_pad1d(audio.narrow(0, at, kContext + kWindow).view({1, 1, -1}), {0, 64});
    x = at::conv1d(x, get("encoder.feature_extractor.forward_basis_buffer"), {}, 128);
    x = (x.narrow(1, 0, 129).square() + x.narrow(1, 129, 129).square()).sqrt();
    const int64_t strides[] = {1, 2, 2, 1};
    for (int i = 0; i < 4; ++i) {
      const std::string name = "encoder.conv_layers." + std::to_string(i);
      x = at::conv1d(x, get(name + ".weight"), get(name + ".bias"), strides[i], 1).relu();
    }
    const at::Tensor sums = get("onnx::LSTM_209").squeeze(0).mv(x.view({kHidden})) +
                            get("onnx::LSTM_210").squeeze(0).mv(hidden) + biases;
    const auto gate = [&](int64_t i) { return sums.narrow(0, i * kHidden, kHidden); };
    cell = gate(2).sigmoid() * cell + gate(0).sigmoid() * gate(3).tanh();
    hidden = gate(1).sigmoid() * cell.tanh();
    const at::Tensor sum = get("decoder.conv1d.weight").view({kHidden}).dot(hidden.relu()) +
                           get("decoder.conv1d.bias");
    out.push_back(sum.sigmoid().item<double>());
  }
  return out;
}

using Probabilities = std::vector<float>;

std::pair<Done<Probabilities>, std::future<Outcome<Probabilities>>> promise() {
  auto made = std::make_shared<std::promise<Outcome<Probabilities>>>();
  return {[made](Outcome<Probabilities> outcome) { made->set_value(std::move(outcome)); },
          made->get_future()};
}

std::optional<ErrorCode> code_of(std::future<Outcome<Probabilities>>& future) {
  const Outcome<Probabilities> outcome = future.get();
  const Error* error = std::get_if<Error>(&outcome);
  return error ? std::optional(error->code()) : std::nullopt;
}

}  // namespace

TEST(silero_test, "equals the network by ATen's operators") {
  const Weights weights;
  const Silero detector(weights.path);
  const auto pcm = noise(70 * kWindow, 1);
  SileroState state;
  const auto out = detector.push(state, pcm, Cancellation());
  const auto wanted = reference(pcm);
  EXPECT_EQUAL(out.size(), wanted.size());
  double least = 1;
  double most = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_LESS(std::abs(out[i] - wanted[i]), 1e-5);
    least = std::min(least, wanted[i]);
    most = std::max(most, wanted[i]);
  }
  EXPECT_LESS(least, most - 0.1);  // the weights are such that the input matters
}

TEST(silero_test, "however a recording is cut, its probabilities are the same bits") {
  const Weights weights;
  const Silero detector(weights.folder.path());
  const Cancellation never;
  const auto pcm = noise(100 * kWindow + 77, 2);
  SileroState state;
  auto whole = detector.push(state, pcm, never);
  append(whole, detector.finish(state, never));
  EXPECT_EQUAL(whole.size(), size_t{101});
  EXPECT(detector.finish(state, never).empty());
  std::mt19937 random(3);
  for (const size_t longest : {size_t{3}, size_t{700}, size_t{5000}, size_t{40000}}) {
    SileroState cut;
    std::vector<float> out;
    for (size_t at = 0; at < pcm.size();) {
      const size_t size = std::min(pcm.size() - at, random() % (longest + 1));
      append(out, detector.push(cut, std::span(pcm).subspan(at, size), never));
      at += size;
    }
    append(out, detector.finish(cut, never));
    EXPECT(same_bits(out, whole));
  }
}

TEST(silero_test, "bad samples and cancellation leave the stream as it was") {
  const Weights weights;
  const Silero detector(weights.path);
  const Cancellation never;
  const auto pcm = noise(5 * kWindow + 100, 4);
  SileroState state;
  detector.push(state, pcm, never);
  SileroState untouched = state;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -3e30F}) {
    auto spoiled = noise(40 * kWindow, 5);
    spoiled.back() = bad;
    EXPECT_ERROR(ErrorCode::kInvalidArgument, detector.push(state, spoiled, never));
  }
  Cancellation cancelled;
  cancelled.cancel();
  EXPECT_ERROR(ErrorCode::kCancelled, detector.push(state, noise(kWindow, 6), cancelled));
  const auto more = noise(3 * kWindow, 7);
  EXPECT(same_bits(detector.push(state, more, never), detector.push(untouched, more, never)));
  // As loud as is taken: no overflow anywhere.
  for (const float p : detector.push(state, std::vector<float>(4 * kWindow, 1e9F), never)) {
    EXPECT(p >= 0 && p <= 1);
  }
}

TEST(silero_test, "files that hold no detector are refused") {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kModelNotFound, Silero(folder.path()));
  EXPECT_ERROR(ErrorCode::kModelNotFound, Silero(folder.path() / "absent.safetensors"));
  const auto path = folder.path() / "weights.safetensors";
  auto weights = random_weights();
  weights.erase("onnx::LSTM_210");
  write_file(path, safetensors(weights));
  EXPECT_ERROR(ErrorCode::kModelInvalid, Silero(folder.path()));
  weights["onnx::LSTM_210"] = at::zeros({1, 512, 64});
  write_file(path, safetensors(weights));
  EXPECT_ERROR(ErrorCode::kModelInvalid, Silero{path});
  write_file(path, safetensors(random_weights()).substr(0, 1000));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, Silero{path});
  write_file(folder.path() / "another.safetensors", "");
  EXPECT_ERROR(ErrorCode::kModelNotFound, Silero(folder.path()));
}

TEST(silero_test, "streams of one model do not disturb each other") {
  const Weights weights;
  Model model(weights.path, 64);
  const Silero alone(weights.path);
  std::vector<std::vector<float>> audio;
  std::vector<StreamPtr> streams;
  for (unsigned i = 0; i < 3; ++i) {
    audio.push_back(noise(20 * kWindow + 9 * i, 10 + i));
    streams.push_back(std::make_shared<Stream>());
  }
  std::vector<std::vector<std::future<Outcome<Probabilities>>>> pending(3);
  for (size_t half = 0; half < 2; ++half) {
    for (size_t i = 0; i < 3; ++i) {
      const size_t middle = 3000;
      const auto part =
          half == 0 ? std::span(audio[i]).first(middle) : std::span(audio[i]).subspan(middle);
      auto [done, future] = promise();
      model.push(streams[i], part, nullptr, std::move(done));
      pending[i].push_back(std::move(future));
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    auto [done, future] = promise();
    model.finish(streams[i], nullptr, std::move(done));
    pending[i].push_back(std::move(future));
    std::vector<float> out;
    for (auto& piece : pending[i]) append(out, std::get<Probabilities>(piece.get()));
    SileroState state;
    auto wanted = alone.push(state, audio[i], Cancellation());
    append(wanted, alone.finish(state, Cancellation()));
    EXPECT(same_bits(out, wanted));
  }
  auto [done, future] = promise();
  model.push(streams[0], audio[0], nullptr, std::move(done));
  EXPECT(code_of(future) == ErrorCode::kInvalidArgument);  // it was finished
}

TEST(silero_test, "stopping ends what runs and what waits") {
  const Weights weights;
  Model model(weights.path, 64);
  const auto pcm = noise(20'000 * kWindow, 20);
  std::vector<std::future<Outcome<Probabilities>>> pending;
  for (int i = 0; i < 4; ++i) {
    auto [done, future] = promise();
    model.push(std::make_shared<Stream>(), pcm, nullptr, std::move(done));
    pending.push_back(std::move(future));
  }
  model.stop();
  for (auto& future : pending) EXPECT(code_of(future) == ErrorCode::kDisposed);
  auto [done, future] = promise();
  model.push(std::make_shared<Stream>(), pcm, nullptr, std::move(done));
  EXPECT(code_of(future) == ErrorCode::kDisposed);
}
