#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>

#include <future>
#include <memory>
#include <utility>

#include "check.h"
#include "tiny_model.h"
#include "whisper/model.h"

// The engine with a tiny random model, called as one that waits for each answer.
namespace voxpod::test {

using namespace voxpod::whisper;

struct Loaded {
  explicit Loaded(const ModelOptions& options = {}) {
    write_tiny_model(folder.path());
    model =
        std::make_unique<Model>(folder.path(), options, nullptr, std::make_shared<Cancellation>());
  }
  TemporaryFolder folder;
  std::unique_ptr<Model> model;
};

template <typename T>
std::pair<Done<T>, std::future<Outcome<T>>> promise() {
  auto made = std::make_shared<std::promise<Outcome<T>>>();
  return {[made](Outcome<T> outcome) { made->set_value(std::move(outcome)); }, made->get_future()};
}

template <typename T>
T get(std::future<Outcome<T>> future) {
  Outcome<T> outcome = future.get();
  if (const Error* error = std::get_if<Error>(&outcome)) throw *error;
  return std::get<T>(outcome);
}

/// Of 4 s of noise.
inline Model::Features features(uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const at::Tensor pcm = at::randn({400 * kWhisperHop}, generator, at::kFloat);
  auto out = std::make_shared<LogMelStream>(80);
  out->push({pcm.data_ptr<float>(), 400 * kWhisperHop}, Cancellation());
  out->finish(Cancellation());
  return out;
}

inline Model::Window encode(Model& model, const Model::Features& mel,
                            const CancellationPtr& cancel = nullptr) {
  auto [done, future] = promise<Model::Window>();
  model.encode(mel, 0, 400, cancel, std::move(done));
  return get(std::move(future));
}

inline DecodeRequest request(double temperature = 0) {
  DecodeRequest out;
  out.prompt = {258, 3, 4};
  out.sample_begin = 3;
  out.max_tokens = 40;
  out.end_of_text = 257;
  out.no_speech = 260;
  out.temperature = temperature;
  out.best_of = 3;
  out.seed = 11;
  return out;
}

inline std::future<Outcome<DecodeResult>> start(Model& model, const Model::Window& window,
                                                const DecodeRequest& options,
                                                const CancellationPtr& cancel = nullptr) {
  auto [done, future] = promise<DecodeResult>();
  model.decode(window, options, cancel, std::move(done));
  return std::move(future);
}

}  // namespace voxpod::test
