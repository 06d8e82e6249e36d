#pragma once

#include <span>
#include <vector>

#include "whisper/decode_request.h"

namespace voxpod::whisper {

/// Masks, in place, what may not be sampled next, given the tokens since sample_begin: penalties of
/// repetition as CTranslate2 has them (src/decoding_utils.cc), then the filters of openai-whisper,
/// whisper/decoding.py (SuppressBlank, SuppressTokens, ApplyTimestampRules).
void apply_rules(std::span<float> logits, const DecodeRequest& request,
                 std::span<const int64_t> sampled);

struct Sample {
  int64_t token = 0;
  double log_probability = 0;  ///< under the masked logits at temperature 1
};

/// The most probable token, or at temperatures above 0 one drawn by the request's seed, `row` and
/// `step` alone.
Sample sample(std::span<const float> logits, const DecodeRequest& request, int64_t row,
              int64_t step);

/// The `count` most probable tokens that are not masked, the first the most probable, and of equals
/// the one of the lower id.
void most_probable(std::span<const float> logits, int64_t count, std::vector<Sample>& out);

/// Probability of `token` under unmasked logits.
double probability(std::span<const float> logits, int64_t token);
/// Probabilities of `tokens`, of which there is one at least, among themselves.
std::vector<float> probabilities(std::span<const float> logits, std::span<const int64_t> tokens);

}  // namespace voxpod::whisper
