#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace voxpod {

/// What a BigVGAN's config.json says of its generator.
struct BigVganConfig {
  struct Upsampling {
    int64_t rate = 0;
    int64_t kernel = 0;
  };
  struct ResidualBlock {
    int64_t kernel = 0;
    std::vector<int64_t> dilations = {};
  };
  std::vector<Upsampling> upsamplings = {};
  /// Of each upsampling; their outputs are averaged.
  std::vector<ResidualBlock> blocks = {};
  bool own_beta = true;    ///< "snakebeta"; "snake" divides by alpha
  bool logarithms = true;  ///< of alpha and beta are what the checkpoint holds
  bool final_bias = true;
  bool final_tanh = true;  ///< else the samples are clamped
};

/// Throws kModelNotFound without the file, kModelInvalid for values that no generator has,
/// kModelUnsupported for one of another spectrogram or rate than kVocoderRate, kVocoderHop and
/// kVocoderMels, or with blocks of another kind than the published models'.
BigVganConfig read_bigvgan_config(const std::filesystem::path& file);

}  // namespace voxpod
