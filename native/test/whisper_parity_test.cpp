// Against tensors of the reference implementations (VOXPOD_GOLDENS).
#include <cstring>

#include "check.h"
#include "signal/log_mel.h"
#include "signal/spectrum.h"
#include "whisper/decoder.h"
#include "whisper/encoder.h"

namespace {

using namespace voxpod;
using namespace voxpod::whisper;

const char* const kModels[] = {"tiny80", "tiny128"};

struct Golden {
  explicit Golden(const std::string& model)
      : folder(test::folder("VOXPOD_GOLDENS", "whisper/" + model)) {
    read_safetensors(folder / "tensors.safetensors", tensors);
  }
  at::Tensor get(const std::string& name) const {
    return tensors.tensor(name, tensors.at(name).shape);
  }
  std::vector<int64_t> integers(const std::string& name) const {
    const StoredTensor& stored = tensors.at(name);
    std::vector<int64_t> out(stored.bytes() / sizeof(int64_t));
    std::memcpy(out.data(), stored.data, stored.bytes());
    return out;
  }
  std::filesystem::path folder;
  Checkpoint tensors;
};

at::Tensor mel_of(const char* wav, int64_t mels) {
  const auto path = test::folder("VOXPOD_GOLDENS", std::string("whisper/audio/") + wav);
  return log_mel(test::read_wav(path), mels, Cancellation());
}

/// Runs `check` for every model, with voxpod's kernels and with ATen's operators alone.
void for_each_path(const std::function<void(const Golden&, Weights&, const Geometry&)>& check) {
  for (const char* model : kModels) {
    const Golden golden(model);
    const Source source = whisper::open(golden.folder);
    for (const bool kernels : {true, false}) {
      const Placement placement = {.cpu_kernels = kernels};
      Weights weights(source.checkpoint, placement, nullptr, std::make_shared<Cancellation>());
      check(golden, weights, source.geometry);
    }
  }
}

}  // namespace

TEST(whisper_parity_test, "mel filters and log-mel features equal openai-whisper's") {
  for (const char* model : kModels) {
    const Golden golden(model);
    const at::Tensor filters = golden.get("mel.filters");
    EXPECT_LESS(test::relative_error(slaney_filters(kWhisperRate, 400, filters.size(0)), filters),
                1e-5);
    for (const auto& [wav, name] : {std::pair("short.wav", "mel.openai_full"),
                                    std::pair("long.wav", "mel.long_openai_full")}) {
      const at::Tensor mel = mel_of(wav, filters.size(0));
      const at::Tensor expected = golden.get(name);
      EXPECT_EQUAL(mel.size(1), expected.size(1) - kWindowFrames);
      EXPECT_LESS(test::relative_error(mel, expected.narrow(1, 0, mel.size(1))), 1e-4);
    }
  }
}

TEST(whisper_parity_test, "the encoder's output equals the reference") {
  for_each_path([](const Golden& golden, Weights& weights, const Geometry& geometry) {
    const Encoder encoder(weights, geometry);
    // The encoder goldens come from Hugging Face's features.
    const at::Tensor out = encoder.forward(golden.get("mel.hf").squeeze(0), Cancellation());
    EXPECT_LESS(test::relative_error(out, golden.get("enc.out").squeeze(0)), 1e-4);
  });
}

TEST(whisper_parity_test, "prompt and step logits equal the reference") {
  for_each_path([](const Golden& golden, Weights& weights, const Geometry& geometry) {
    const Decoder decoder(weights, geometry);
    const auto audio = decoder.read_audio(golden.get("enc.out").squeeze(0));
    SelfCache cache = decoder.make_cache(3);
    std::vector<int64_t> tokens = golden.integers("dec.prompt");
    tokens.push_back(golden.integers("dec.step_token").at(0));
    CachePages pages;
    cache.prepare(pages, 0, static_cast<int64_t>(tokens.size()) - 1);
    std::vector<Row> rows;
    for (size_t i = 0; i < tokens.size(); ++i) {
      rows.push_back({.token = tokens[i],
                      .at = {.pages = &pages, .position = static_cast<int64_t>(i)},
                      .audio = audio.get()});
    }
    const std::span<const Row> all = rows;
    const at::Tensor prompt =
        decoder.forward(all.first(rows.size() - 1), RowKind::kPrompt, cache, {0, 1, 2, 3});
    EXPECT_LESS(test::relative_error(prompt, golden.get("dec.prompt_logits").squeeze(0)), 1e-4);
    CachePages shared = cache.share(pages);
    cache.prepare(shared, rows.back().at.position, rows.back().at.position + 1);
    EXPECT(shared != pages);
    rows.back().at.pages = &shared;
    const at::Tensor step = decoder.forward(all.last(1), RowKind::kStep, cache, {0});
    EXPECT_LESS(test::relative_error(step, golden.get("dec.step_logits").squeeze(0)), 1e-4);
  });
}
