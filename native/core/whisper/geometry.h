#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace voxpod::whisper {

/// Frames of 10 ms in a window of 30 s; the encoder's second convolution halves them.
inline constexpr int64_t kWindowFrames = 3000;

struct Geometry {
  int64_t mels = 0;           ///< 80 or 128
  int64_t audio_context = 0;  ///< encoder positions: 1500
  int64_t text_context = 0;   ///< decoder positions: 448
  int64_t width = 0;
  int64_t encoder_heads = 0;
  int64_t decoder_heads = 0;
  int64_t encoder_layers = 0;
  int64_t decoder_layers = 0;
  int64_t encoder_inner = 0;  ///< width of the feed-forward layers
  int64_t decoder_inner = 0;
  int64_t vocabulary = 0;
  /// Layer and head of the decoder's cross-attention heads that follow what is spoken.
  std::vector<std::pair<int64_t, int64_t>> alignment_heads = {};
};

/// A Whisper model's tensors under the names of the Hugging Face layout, without "model.", and its
/// geometry, read from config.json or, in a CTranslate2 folder, from the tensors themselves.
struct Source {
  Checkpoint checkpoint;
  Geometry geometry;
};

/// Throws kModelNotFound, kModelInvalid, kModelUnsupported or kCheckpointCorrupt.
Source open(const std::filesystem::path& folder);

/// Adds the Hugging Face names to a checkpoint with CTranslate2's; fused projections are split into
/// views of the same bytes.
void add_hugging_face_names(Checkpoint& checkpoint);

}  // namespace voxpod::whisper
