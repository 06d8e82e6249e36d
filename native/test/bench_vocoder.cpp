// voxpod_bench_vocoder [threads] [FILE] [frames...]: milliseconds of a vocoder on this machine.
// Without FILE, or with "-", it is a Vocos of the published size with random weights.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <limits>

#include "engine/thread_team.h"
#include "tiny_model.h"
#include "tiny_vocos.h"
#include "vocoder/vocoder.h"

namespace {

using namespace voxpod;

std::unique_ptr<Vocoder> load(const std::string& file) {
  const Placement placement;
  if (file != "-") return load_vocoder(file, placement);
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "vocos.safetensors";
  test::write_file(path, test::safetensors(test::random_vocos(512, 1536, 8)));
  return load_vocoder(path, placement);
}

void report(const std::string& name, double seconds, const std::function<void()>& run) {
  run();
  double best = std::numeric_limits<double>::infinity();
  double least = best;  // of all threads: on a machine that others use it tells more
  for (int i = 0; i < 7; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    run();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
    least = std::min(least, static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
  }
  std::cout << name << ": " << best * 1000 << " ms, " << seconds / best
            << " times faster than real time; " << least * 1000 << " ms of CPU" << std::endl;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const c10::InferenceMode inference;
    if (count > 1) at::set_num_threads(std::stoi(arguments[1]));
    const ThreadTeam team(at::get_num_threads());
    const auto vocoder = load(count > 2 ? arguments[2] : "-");
    std::cout << vocoder->name() << ", " << at::get_num_threads() << " threads, "
              << vocoder->weight_bytes() / 1'000'000 << " MB" << std::endl;
    std::vector<int64_t> lengths = {400, 900};
    if (count > 3) lengths.clear();
    for (int i = 3; i < count; ++i) lengths.push_back(std::stoi(arguments[i]));
    const Cancellation never;
    NoiseGenerator generator(0);
    for (const int64_t frames : lengths) {
      const double seconds = static_cast<double>(frames * kVocoderHop) / kVocoderRate;
      const at::Tensor mel = test::draw(generator, {frames, kVocoderMels}, 1);
      report("decode of " + std::to_string(frames) + " frames", seconds,
             [&] { vocoder->decode(mel, never); });
      const at::Tensor pcm = test::draw(generator, {frames * kVocoderHop}, 0.1);
      report("mel of as much", seconds, [&] { vocoder->mel(pcm); });
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
