#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "whisper/geometry.h"

namespace voxpod::whisper {

struct TimestampRules {
  int64_t begin = 0;         ///< token of 0.00 s; its successors are 20 ms apart
  int64_t none = 0;          ///< token that switches timestamps off
  int64_t max_initial = -1;  ///< greatest index of the first timestamp, or -1
};

/// How one window is decoded. Defaults decode greedily without rules.
struct DecodeRequest {
  std::vector<int64_t> prompt;      ///< all tokens before the first sampled one
  int64_t start_of_transcript = 0;  ///< its place in `prompt`
  int64_t sample_begin = 0;         ///< where the sampled text begins, at most prompt.size()
  int64_t max_tokens = 224;
  double temperature = 0;  ///< 0 takes the most probable token
  int64_t best_of = 1;     ///< rows sampled where the temperature is above 0
  uint64_t seed = 0;
  std::vector<int64_t> suppress;        ///< never sampled
  std::vector<int64_t> suppress_first;  ///< not sampled first
  int64_t end_of_text = 0;
  int64_t no_speech = -1;  ///< -1 where the vocabulary has none
  std::optional<TimestampRules> timestamps;

  int64_t rows() const { return temperature > 0 ? best_of : 1; }
};

struct DecodeResult {
  std::vector<int64_t> tokens;  ///< from sample_begin, without end of text
  double average_log_probability = 0;
  double no_speech_probability = 0;
};

/// Throws kInvalidArgument where a token is outside the vocabulary or a number out of range.
void validate(const DecodeRequest& request, const Geometry& geometry);

}  // namespace voxpod::whisper
