// Against tensors of the reference implementations (VOXPOD_GOLDENS), and against a BigVGAN of the
// published size and random weights that fixtures/make_bigvgan.py wrote (VOXPOD_BIGVGAN).
#include <chrono>

#include "check.h"
#include "signal/mel.h"
#include "signal/spectrum.h"
#include "vocoder/vocos.h"

namespace {

using namespace voxpod;

const Cancellation never;

struct Golden {
  explicit Golden(const std::filesystem::path& file) { read_safetensors(file, tensors); }
  at::Tensor get(const std::string& name) const {
    return tensors.tensor(name, tensors.at(name).shape);
  }
  Checkpoint tensors;
};

double greatest_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) throw std::runtime_error("shapes differ");
  return a.sub(b).abs().max().item<double>();
}

}  // namespace

TEST(vocoder_parity_test, "filters and mels equal torchaudio's and BigVGAN's") {
  const Golden golden(test::folder("VOXPOD_GOLDENS", "f5/mel") / "mels.safetensors");
  EXPECT_LESS(
      greatest_difference(htk_filters(24000, 1024, 100).t(), golden.get("fbank_htk_513x100")),
      1e-5);
  for (const auto& [name, audio, kind] :
       {std::tuple("ref_en_vocos_mel", "ref_en", MelSpectrogram::Kind::kVocos),
        std::tuple("synth_vocos_mel", "synth", MelSpectrogram::Kind::kVocos),
        std::tuple("ref_en_bigvgan_mel", "ref_en", MelSpectrogram::Kind::kBigVgan)}) {
    const at::Tensor mel = MelSpectrogram(kind).forward(golden.get(audio).squeeze(0));
    const at::Tensor expected = golden.get(name).squeeze(0).t();
    std::cout << "  " << name << ": " << greatest_difference(mel, expected) << " at most"
              << std::endl;
    EXPECT_LESS(test::relative_error(mel, expected), 1e-5);
  }
}

TEST(vocoder_parity_test, "every layer of Vocos equals the reference") {
  const auto folder = test::folder("VOXPOD_GOLDENS", "f5/vocos");
  const Golden golden(folder / "decode.safetensors");
  const Checkpoint checkpoint = open_checkpoint_file(folder / "model.safetensors");
  for (const bool kernels : {true, false}) {
    const Vocos vocos(checkpoint, {.cpu_kernels = kernels});
    for (int64_t item = 0; item < 2; ++item) {
      int layers = 0;
      const auto observe = [&](const std::string& layer, const at::Tensor& out) {
        at::Tensor expected = golden.get("tap." + layer)[item];
        if (expected.size(1) == 61) expected = expected.t();
        EXPECT_LESS(test::relative_error(out, expected), 1e-4);
        ++layers;
      };
      const at::Tensor wav = vocos.decode(golden.get("mel")[item].t(), never, observe);
      EXPECT_EQUAL(layers, 7);
      EXPECT_LESS(test::relative_error(wav, golden.get("wav")[item]), 1e-4);
      EXPECT_LESS(test::relative_error(wav, golden.get("tap.head.istft")[item]), 1e-4);
    }
  }
}

TEST(vocoder_parity_test, "a BigVGAN of the published size equals the reference") {
  const auto folder = test::folder("VOXPOD_BIGVGAN");
  const auto vocoder = load_vocoder(folder / "bigvgan_generator.pt", {});
  const Checkpoint expected = open_checkpoint_file(folder / "expected.pt");
  const at::Tensor mel = expected.tensor("mel", expected.at("mel").shape);
  const at::Tensor samples = expected.tensor("samples", {mel.size(0) * kVocoderHop});
  const auto begin = std::chrono::steady_clock::now();
  const at::Tensor out = vocoder->decode(mel, never);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  std::cout << "  " << mel.size(0) << " frames in " << taken.count() << " s, error "
            << test::relative_error(out, samples) << std::endl;
  EXPECT_LESS(test::relative_error(out, samples), 1e-4);
}
