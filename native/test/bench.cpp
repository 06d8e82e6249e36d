// voxpod_bench FOLDER [threads] [dtype] [part]: milliseconds of the parts of a Whisper on this
// machine, or of those whose name holds `part`.
#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <limits>

#include "engine/block_cache.h"
#include "engine/cancellation.h"
#include "engine/thread_team.h"
#include "signal/log_mel.h"
#include "whisper/alignment.h"
#include "whisper/decoder.h"
#include "whisper/encoder.h"

namespace {

using namespace voxpod;
using namespace voxpod::whisper;

std::string wanted;

void report(const std::string& name, int repeats, const std::function<void()>& run) {
  run();
  if (name.find(wanted) == std::string::npos) return;
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  std::cout << name << ": " << best << " ms" << std::endl;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "usage: voxpod_bench FOLDER [threads] [dtype] [part]\n";
    return 2;
  }
  try {
    const c10::InferenceMode inference;
    if (count > 2) at::set_num_threads(std::stoi(arguments[2]));
    const ThreadTeam team(at::get_num_threads());
    if (count > 4) wanted = arguments[4];
    const Placement placement = make_placement("cpu", count > 3 ? arguments[3] : "auto");
    const Source source = whisper::open(arguments[1]);
    Weights weights(source.checkpoint, placement, nullptr, std::make_shared<Cancellation>());
    const Encoder encoder(weights, source.geometry);
    const Decoder decoder(weights, source.geometry);
    const Cancellation never;
    const BlockCacheScope cache_blocks;
    std::cout << "dtype " << dtype_name(placement) << ", " << at::get_num_threads() << " threads"
              << std::endl;

    const std::vector<float> pcm(30 * kWhisperRate, 0.01F);
    report("log-mel of 30 s", 3, [&] { log_mel(pcm, source.geometry.mels, never); });
    const at::Tensor mel = at::randn({source.geometry.mels, kWindowFrames});
    at::Tensor encoded;
    report("encoder, one window", 30, [&] { encoded = encoder.forward(mel, never); });
    std::shared_ptr<const CrossCache> audio;
    report("keys and values of a window", 5, [&] { audio = decoder.read_audio(encoded); });
    SelfCache cache = decoder.make_cache(17);
    const auto pages_of = [&](int64_t length) {
      CachePages pages;
      cache.prepare(pages, 0, length);
      return pages;
    };
    CachePages prompt = pages_of(227);
    for (const int64_t length : {4, 100, 227}) {
      std::vector<Row> rows;
      for (int64_t i = 0; i < length; ++i) {
        rows.push_back({.token = i, .at = {.pages = &prompt, .position = i}, .audio = audio.get()});
      }
      report("prompt of " + std::to_string(length), 20,
             [&] { decoder.forward(rows, RowKind::kPrompt, cache, {length - 1}); });
    }
    std::vector<CachePages> sequences;
    for (int i = 0; i < 16; ++i) sequences.push_back(pages_of(101));
    for (const bool beams : {false, true}) {
      for (const size_t batch : {1, 2, 4, 5, 8, 16}) {
        std::vector<std::shared_ptr<const CrossCache>> windows;
        std::vector<Row> rows;
        std::vector<int64_t> wanted;
        for (size_t i = 0; i < batch; ++i) {
          windows.push_back(beams ? audio : decoder.read_audio(encoded));
          rows.push_back({.token = 1,
                          .at = {.pages = &sequences[i], .position = 100},
                          .audio = windows.back().get()});
          wanted.push_back(static_cast<int64_t>(i));
        }
        report("decoder step, " + std::to_string(batch) + (beams ? " beams" : " windows"), 50,
               [&] { decoder.forward(rows, RowKind::kStep, cache, wanted); });
      }
    }
    const AlignRequest text = {
        .head = {0, 1, 2, 3}, .text = std::vector<int64_t>(150, 5), .end_of_text = 50257};
    report("alignment of 150 tokens", 5,
           [&] { align_text(decoder, source.geometry, *audio, text, never); });
  } catch (...) {
    std::cerr << current_error().what() << "\n";
    return 1;
  }
  return 0;
}
