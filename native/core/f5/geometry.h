#pragma once

#include <cstdint>
#include <filesystem>

#include "checkpoint/checkpoint.h"

namespace voxpod::f5 {

/// What a checkpoint does not say itself: F5-TTS v0 and v1 have the same tensors.
struct Architecture {
  bool mask_text_padding = true;    ///< filler positions are zeroed around the text's convolutions
  bool rotary_first_head = false;   ///< rotary positions turn the first head alone, or all of them
  bool average_upsampling = false;  ///< tokens are spread evenly over the frames
};

enum class BackboneKind { kDiT, kUNetT };

struct Geometry {
  BackboneKind backbone = BackboneKind::kDiT;
  int64_t mels = 0;   ///< 100
  int64_t width = 0;  ///< of the residual stream
  int64_t heads = 0;
  int64_t head = 0;  ///< numbers of a head: 64
  int64_t layers = 0;
  int64_t inner = 0;  ///< of the feed-forward layers
  int64_t text_width = 0;
  int64_t text_layers = 0;  ///< ConvNeXt V2 blocks over the text
  int64_t text_inner = 0;   ///< of those
  int64_t vocabulary = 0;   ///< ids of the text
  int64_t kernel = 0;       ///< of the position convolutions: 31
  int64_t group = 0;        ///< channels of one of their groups
  bool query_key_norm = false;
  bool long_skip = false;  ///< the DiT's input beside its last block's output
  Architecture architecture = {};

  int64_t attention_width() const { return heads * head; }
  /// Frames of an utterance at most. The DiT's text positions come from a table of 8192
  /// (SWivid/F5-TTS, model/backbones/dit.py, TextEmbedding); else as many as CFM.sample allows.
  int64_t max_frames() const {
    return backbone == BackboneKind::kDiT && text_layers > 0 ? 8192 : 65536;
  }
};

/// A model's tensors under the names of the backbone's parts ("proj_out.weight"), and its geometry,
/// which the tensors' shapes tell.
struct Source {
  Checkpoint checkpoint;
  Geometry geometry;
};

/// Names the tensors without what training wrapped around them, and drops what inference does not
/// need. Throws kModelUnsupported where they are no F5-TTS or E2-TTS, kModelInvalid where one is
/// missing or of an odd shape, kInvalidArgument for an architecture that cannot be.
Source read(const Checkpoint& checkpoint, const Architecture& architecture);

}  // namespace voxpod::f5
