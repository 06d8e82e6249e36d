// voxpod_bench_f5 [threads] [dtype] [frames...]: milliseconds of a step of F5-TTS v1 Base, whose
// weights here are random, with guidance: both halves of one utterance. In brackets the processors'
// milliseconds, which other programs disturb less.
#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <limits>

#include "engine/block_cache.h"
#include "engine/thread_team.h"
#include "f5/backbone.h"
#include "tiny_f5.h"

namespace {

using namespace voxpod;
using namespace voxpod::f5;

void report(const std::string& name, int repeats, const std::function<void()>& run) {
  run();
  double best = std::numeric_limits<double>::infinity();
  double least = best;
  for (int i = 0; i < repeats; ++i) {
    const std::clock_t processor = std::clock();
    const auto begin = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
    least = std::min(least, 1e3 * static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC);
  }
  std::cout << name << ": " << best << " ms (" << least << ")" << std::endl;
}

/// The tensors as a checkpoint has them; they must live as long as it does.
Checkpoint checkpoint_of(const std::map<std::string, at::Tensor>& tensors) {
  Checkpoint out;
  for (const auto& [name, tensor] : tensors) {
    out.add(name, {.dtype = tensor.scalar_type(),
                   .shape = tensor.sizes().vec(),
                   .data = static_cast<const std::byte*>(tensor.const_data_ptr()),
                   .row_scale = nullptr});
  }
  return out;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const c10::InferenceMode inference;
    const BlockCacheScope cache;
    if (count > 1) at::set_num_threads(std::stoi(arguments[1]));
    const ThreadTeam team(at::get_num_threads());
    Placement placement = make_placement("cpu", count > 2 ? arguments[2] : "auto");
    placement.int8 = false;
    std::vector<int64_t> lengths;
    for (int i = 3; i < count; ++i) lengths.push_back(std::stoll(arguments[i]));
    if (lengths.empty()) lengths = {500, 900, 1400};
    const auto tensors = test::f5_weights(test::base_f5());
    const Source source = read(checkpoint_of(tensors), {});
    Weights weights(source.checkpoint, placement, nullptr, std::make_shared<Cancellation>());
    const auto backbone = make_backbone(weights, source.geometry);
    std::cout << "dtype " << dtype_name(placement) << ", " << at::get_num_threads() << " threads"
              << std::endl;

    const std::vector<float> schedule(32, 0.5F);
    at::Tensor conditioning;
    report("32 points of time", 3, [&] { conditioning = backbone->condition(schedule); });
    for (const int64_t frames : lengths) {
      const std::string size = std::to_string(frames) + " frames";
      const std::vector<int64_t> tokens(static_cast<size_t>(frames / 6), 3);
      TextEmbedding::Embedded text;
      report("text, " + size, 2,
             [&] { text = backbone->text().forward(tokens, frames, true, Cancellation()); });
      const at::Tensor condition = at::randn({frames, source.geometry.mels});
      std::vector<Half> halves;
      report("context, " + size, 2, [&] {
        halves.clear();
        for (const at::Tensor& half : {text.text, text.dropped}) {
          halves.push_back({.mel = condition,
                            .context = backbone->input().context(condition, half),
                            .conditioning = conditioning.select(0, 0)});
        }
      });
      report("guided step, " + size, placement.dtype == at::kFloat ? 2 : 5,
             [&] { backbone->velocity(halves, [] {}); });
    }
  } catch (...) {
    std::cerr << current_error().what() << "\n";
    return 1;
  }
  return 0;
}
