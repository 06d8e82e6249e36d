// Silero's real weights against probabilities of its ONNX graph (VOXPOD_GOLDENS).
#include <ctime>

#include "check.h"
#include "checkpoint/json.h"
#include "checkpoint/mapped_file.h"
#include "vad/silero.h"

namespace {

using namespace voxpod;
using namespace voxpod::vad;

/// Seconds that this thread computed: other processes do not count.
double cpu_seconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

TEST(vad_parity_test, "probabilities equal onnxruntime's within 1e-4") {
  const auto folder = test::folder("VOXPOD_GOLDENS", "whisper/vad");
  const MappedFile file(folder / "vad.json");
  const Json goldens = Json::parse(file.text(), "vad.json");
  const Silero detector(folder);
  const Cancellation never;
  for (const char* name : {"jfk", "silence_jfk_silence_jfk"}) {
    const Json* golden = goldens.find(name);
    EXPECT(golden != nullptr);
    const Json::Array& wanted = *golden->find("probs")->array();
    SileroState state;
    const auto pcm = test::read_wav(folder / (std::string(name) + ".wav"));
    std::vector<float> out = detector.push(state, pcm, never);
    for (const float last : detector.finish(state, never)) out.push_back(last);
    EXPECT_EQUAL(out.size(), wanted.size());
    for (size_t i = 0; i < out.size(); ++i) {
      EXPECT_LESS(std::abs(out[i] - *wanted[i].number()), 1e-4);
    }
  }
}

TEST(vad_parity_test, "ten minutes in few seconds") {
  const auto folder = test::folder("VOXPOD_GOLDENS", "whisper/vad");
  const Silero detector(folder);
  const auto clip = test::read_wav(folder / "jfk.wav");
  std::vector<float> pcm;
  while (pcm.size() < 600 * size_t{kRate}) pcm.insert(pcm.end(), clip.begin(), clip.end());
  SileroState state;
  const double begin = cpu_seconds();
  const auto out = detector.push(state, pcm, Cancellation());
  const double taken = cpu_seconds() - begin;
  std::cout << "  " << static_cast<double>(pcm.size()) / kRate << " s of audio: " << taken
            << " s of one core" << std::endl;
  EXPECT_EQUAL(out.size(), pcm.size() / kWindow);
  // Ten times as long as it takes: a mistake of complexity, not a slow machine.
  EXPECT_LESS(taken, 3.0);
}
