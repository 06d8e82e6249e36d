// Decoding by the engine, on a tiny random model: batches, searches, words, what is refused.
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>

#include "loaded_model.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;

/// Decodes all windows at once; each must give what it gave alone.
void expect_same_together(Model& model, const std::vector<Model::Window>& windows,
                          const std::vector<DecodeRequest>& requests,
                          const std::vector<DecodeResult>& alone) {
  std::vector<std::future<Outcome<DecodeResult>>> together;
  for (size_t i = 0; i < windows.size(); ++i) {
    together.push_back(start(model, windows[i], requests[i]));
  }
  for (size_t i = 0; i < windows.size(); ++i) {
    const DecodeResult result = get(std::move(together[i]));
    EXPECT(result.tokens == alone[i].tokens);
    EXPECT_EQUAL(result.average_log_probability, alone[i].average_log_probability);
    EXPECT_EQUAL(result.no_speech_probability, alone[i].no_speech_probability);
  }
}

TEST(model_test, "a decoding gives the same to the bit, alone or in a batch") {
  for (const char* dtype : {"float32", "bfloat16", "int8"}) {
    const Loaded loaded({.dtype = dtype});
    Model& model = *loaded.model;
    std::vector<Model::Window> windows;
    for (uint64_t i = 0; i < 8; ++i) windows.push_back(encode(model, features(i)));
    std::vector<DecodeRequest> requests;
    std::vector<DecodeResult> alone;
    for (size_t i = 0; i < windows.size(); ++i) {
      DecodeRequest options = request(i % 3 == 2 ? 0.8 : 0);
      options.prompt.resize(3 + i, 5);
      options.sample_begin = static_cast<int64_t>(options.prompt.size());
      requests.push_back(options);
      alone.push_back(get(start(model, windows[i], options)));
    }
    expect_same_together(model, windows, requests, alone);
  }
}

TEST(model_test, "the beams of a search give the same to the bit, alone or in a batch") {
  for (const char* dtype : {"float32", "bfloat16", "int8"}) {
    const Loaded loaded({.dtype = dtype, .max_batch = 40});
    Model& model = *loaded.model;
    std::vector<Model::Window> windows;
    std::vector<DecodeRequest> requests;
    std::vector<DecodeResult> alone;
    for (uint64_t i = 0; i < 8; ++i) {
      windows.push_back(encode(model, features(i)));
      DecodeRequest options = request(i % 4 == 3 ? 0.8 : 0);
      options.beam_size = i % 4 == 2 ? 0 : static_cast<int64_t>(i % 4 + 3);
      options.prompt.resize(3 + 7 * i, 5);  // pages begin at different steps
      options.sample_begin = static_cast<int64_t>(options.prompt.size());
      options.max_tokens = 20;
      requests.push_back(options);
      alone.push_back(get(start(model, windows[i], options)));
    }
    expect_same_together(model, windows, requests, alone);
  }
}

TEST(model_test, "a search's score is that of its text in one pass, whatever its beams shared") {
  for (const bool kernels : {true, false}) {
    const Loaded loaded({.dtype = "float32", .cpu_kernels = kernels});
    Model& model = *loaded.model;
    const Source source = whisper::open(loaded.folder.path());
    Weights weights(source.checkpoint, model.placement(), nullptr,
                    std::make_shared<Cancellation>());
    const Decoder decoder(weights, source.geometry);
    for (uint64_t i = 0; i < 6; ++i) {
      const Model::Window window = encode(model, features(i));
      DecodeRequest options = request();
      options.beam_size = 5;
      options.suppress = {257};  // to the end of the context, over several pages
      options.prompt.resize(3 + 5 * i, 7);
      options.sample_begin = static_cast<int64_t>(options.prompt.size());
      options.max_tokens = 64;
      const DecodeResult found = get(start(model, window, options));
      EXPECT_EQUAL(found.tokens.size(), 65 - options.prompt.size());

      std::vector<int64_t> text = options.prompt;
      text.insert(text.end(), found.tokens.begin(), found.tokens.end());
      SelfCache cache = decoder.make_cache(1);
      CachePages pages;
      cache.prepare(pages, 0, 64);
      std::vector<Row> rows;
      std::vector<int64_t> wanted;
      for (int64_t at = 0; at < 64; ++at) {
        rows.push_back({.token = text[static_cast<size_t>(at)],
                        .at = {.pages = &pages, .position = at},
                        .audio = window.get()});
        if (at + 1 >= options.sample_begin) wanted.push_back(at);
      }
      const at::Tensor logits = decoder.forward(rows, RowKind::kPrompt, cache, wanted);
      logits.select(1, 257).fill_(-INFINITY);
      const at::Tensor all = at::log_softmax(logits.to(at::kDouble), 1);
      double total = 0;
      for (size_t at = 0; at < found.tokens.size(); ++at) {
        total += all[static_cast<int64_t>(at)][found.tokens[at]].item<double>();
      }
      EXPECT_LESS(std::abs(found.average_log_probability -
                           total / static_cast<double>(found.tokens.size() + 1)),
                  1e-5);
    }
  }
}

TEST(model_test, "words are found in a window, the same by ATen's operators alone") {
  const Loaded kernels({.dtype = "float32"});
  const Loaded generic({.dtype = "float32", .cpu_kernels = false});
  const auto find = [](const Loaded& loaded, const AlignRequest& wanted, uint64_t seed) {
    auto [done, future] = promise<Alignment>();
    loaded.model->align(encode(*loaded.model, features(seed)), wanted, nullptr, std::move(done));
    return get(std::move(future));
  };
  AlignRequest wanted = {
      .head = {258, 3, 4}, .text = {5, 6, 7, 8, 9, 10, 11, 5}, .end_of_text = 257, .frames = 400};
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const Alignment a = find(kernels, wanted, seed);
    const Alignment b = find(generic, wanted, seed);
    EXPECT_EQUAL(a.starts.size(), size_t{9});
    EXPECT_EQUAL(a.probabilities.size(), size_t{8});
    EXPECT(a.starts == b.starts);
    EXPECT(std::is_sorted(a.starts.begin(), a.starts.end()));
    EXPECT(a.starts.front() == 0 && a.starts.back() < 200);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT(a.probabilities[i] > 0 && a.probabilities[i] < 1);
      EXPECT_LESS(std::abs(a.probabilities[i] - b.probabilities[i]), 1e-4);
    }
  }
  wanted.frames = 1;  // one column
  EXPECT_EQUAL(find(kernels, wanted, 1).starts.back(), 0);
  wanted.frames = 400;
  const auto refused = [&](const std::function<void(AlignRequest&)>& change) {
    AlignRequest bad = wanted;
    change(bad);
    EXPECT_ERROR(ErrorCode::kInvalidArgument, find(kernels, bad, 1));
  };
  refused([](auto& o) { o.text.clear(); });
  refused([](auto& o) { o.head.clear(); });
  refused([](auto& o) { o.text.resize(61, 1); });
  refused([](auto& o) { o.text[0] = 257; });
  refused([](auto& o) { o.frames = 0; });
  refused([](auto& o) { o.end_of_text = 300; });
}

TEST(model_test, "ATen's operators alone align in bfloat16 too") {
  const Loaded loaded({.dtype = "bfloat16", .cpu_kernels = false});
  auto [done, future] = promise<Alignment>();
  loaded.model->align(encode(*loaded.model, features(1)),
                      {.head = {258, 3, 4}, .text = {5, 6, 7}, .end_of_text = 257, .frames = 400},
                      nullptr, std::move(done));
  EXPECT_EQUAL(get(std::move(future)).starts.size(), size_t{4});
}

TEST(model_test, "ATen's operators alone give the same tokens as the kernels") {
  const Loaded kernels({.dtype = "float32"});
  const Loaded generic({.dtype = "float32", .cpu_kernels = false});
  for (uint64_t i = 0; i < 4; ++i) {
    const Model::Features mel = features(i);
    for (const double temperature : {0.0, 0.7, -1.0}) {
      DecodeRequest options = request(std::max(0.0, temperature));
      if (temperature < 0) options.beam_size = 4;
      const DecodeResult a = get(start(*kernels.model, encode(*kernels.model, mel), options));
      const DecodeResult b = get(start(*generic.model, encode(*generic.model, mel), options));
      EXPECT(a.tokens == b.tokens);
      EXPECT_LESS(std::abs(a.average_log_probability - b.average_log_probability), 1e-4);
    }
  }
}

TEST(model_test, "ATen's operators alone decode in bfloat16 too, alone and in a batch") {
  const Loaded loaded({.dtype = "bfloat16", .cpu_kernels = false});
  const Model::Window first = encode(*loaded.model, features(1));
  const Model::Window second = encode(*loaded.model, features(2));
  auto one = start(*loaded.model, first, request(0.7));
  auto two = start(*loaded.model, second, request());
  DecodeRequest beams = request();
  beams.beam_size = 3;
  auto three = start(*loaded.model, second, beams);
  for (auto* future : {&one, &two, &three}) {
    const DecodeResult result = get(std::move(*future));
    EXPECT(!result.tokens.empty());
    EXPECT(std::isfinite(result.average_log_probability));
  }
}

TEST(model_test, "one seed gives one text, another seed another") {
  const Loaded loaded;
  Model& model = *loaded.model;
  const Model::Window window = encode(model, features(1));
  DecodeRequest options = request(1);
  const auto first = get(start(model, window, options)).tokens;
  EXPECT(get(start(model, window, options)).tokens == first);
  options.seed = 12;
  EXPECT(get(start(model, window, options)).tokens != first);
}

TEST(model_test, "more samples than the batch holds still run") {
  const Loaded loaded({.max_batch = 1});
  DecodeRequest options = request(1);
  options.best_of = 7;
  const Model::Window window = encode(*loaded.model, features(1));
  EXPECT(!get(start(*loaded.model, window, options)).tokens.empty());
}

TEST(model_test, "a decoding ends at the text context") {
  const Loaded loaded;
  DecodeRequest options = request();
  options.suppress = {257};
  options.max_tokens = 64;
  options.prompt.resize(60, 9);
  options.sample_begin = 60;
  const Model::Window window = encode(*loaded.model, features(1));
  EXPECT_EQUAL(get(start(*loaded.model, window, options)).tokens.size(), size_t{5});
}

TEST(model_test, "bad requests are refused with INVALID_ARGUMENT") {
  const Loaded loaded;
  Model& model = *loaded.model;
  const Model::Window window = encode(model, features(1));
  const auto refused = [&](const std::function<void(DecodeRequest&)>& change) {
    DecodeRequest options = request();
    change(options);
    EXPECT_ERROR(ErrorCode::kInvalidArgument, get(start(model, window, options)));
  };
  refused([](auto& o) { o.prompt = {}; });
  refused([](auto& o) { o.prompt = {300}; });
  refused([](auto& o) { o.prompt.resize(65, 1); });
  refused([](auto& o) { o.suppress = {-1}; });
  refused([](auto& o) { o.start_of_transcript = 3; });
  refused([](auto& o) { o.sample_begin = 4; });
  refused([](auto& o) { o.max_tokens = 0; });
  refused([](auto& o) { o.temperature = NAN; });
  refused([](auto& o) { o.best_of = 1000; });
  refused([](auto& o) { o.beam_size = 65; });
  refused([](auto& o) { o.patience = 0; });
  refused([](auto& o) { o.length_penalty = 1.1; });
  refused([](auto& o) { o.repetition_penalty = 0; });
  refused([](auto& o) { o.no_repeat_ngram = -1; });
  refused([](auto& o) { o.timestamps = TimestampRules{.begin = 300}; });
  for (const auto& [begin, count] : {std::pair(-1, 10), {0, 0}, {0, 3001}, {400, 10}}) {
    auto [done, future] = promise<Model::Window>();
    model.encode(features(1), begin, count, nullptr, std::move(done));
    EXPECT_ERROR(ErrorCode::kInvalidArgument, get(std::move(future)));
  }
  std::vector<float> pcm(16000, 0.0F);
  pcm[777] = NAN;
  auto [done, future] = promise<int64_t>();
  model.push(model.features(), pcm, nullptr, std::move(done));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, get(std::move(future)));
}

}  // namespace
