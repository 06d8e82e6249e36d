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
  int64_t beam_size = 0;   ///< beams at temperature 0, or 0 for greedy decoding
  double patience = 1;     ///< the search ends after round(beam_size * patience) texts
  std::optional<double> length_penalty;  ///< exponent; nothing: mean log-probability a token
  double repetition_penalty = 1;         ///< of tokens since sample_begin; 1: off
  int64_t no_repeat_ngram = 0;           ///< runs of so many tokens come once; 0: off
  uint64_t seed = 0;
  std::vector<int64_t> suppress;        ///< never sampled
  std::vector<int64_t> suppress_first;  ///< not sampled first
  int64_t end_of_text = 0;
  int64_t no_speech = -1;  ///< -1 where the vocabulary has none
  std::optional<TimestampRules> timestamps;

  bool beam_search() const { return temperature == 0 && beam_size > 0; }
  /// Rows decoded at once, at most.
  int64_t rows() const { return temperature > 0 ? best_of : beam_size > 0 ? beam_size : 1; }
};

struct DecodeResult {
  std::vector<int64_t> tokens;  ///< from sample_begin, without end of text
  double average_log_probability = 0;
  double no_speech_probability = 0;
};

/// Text whose times in a window are wanted.
struct AlignRequest {
  std::vector<int64_t> head;  ///< what stands before the text, no-timestamps last
  std::vector<int64_t> text;
  int64_t end_of_text = 0;
  int64_t frames = kWindowFrames;  ///< of the window that hold audio
};

struct Alignment {
  std::vector<int64_t> starts;       ///< of each text token and the end of the last, in 20 ms
  std::vector<float> probabilities;  ///< of each text token among all of text
};

/// Throws kInvalidArgument where a token is outside the vocabulary or a number out of range.
void validate(const DecodeRequest& request, const Geometry& geometry);
void validate(const AlignRequest& request, const Geometry& geometry);

}  // namespace voxpod::whisper
