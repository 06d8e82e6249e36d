#include "whisper/decoding.h"

#include <algorithm>
#include <cmath>

namespace voxpod::whisper {

Decoding::Decoding(DecodeRequest request, int64_t text_context)
    : request_(std::move(request)), text_context_(text_context) {
  live_.resize(1);
  live_[0].text.tokens.assign(request_.prompt.begin() + request_.sample_begin,
                              request_.prompt.end());
}

int64_t Decoding::last_token(size_t row) const {
  const auto& tokens = live_[row].text.tokens;
  return tokens.empty() ? request_.prompt.back() : tokens.back();
}

void Decoding::consider(size_t row, std::span<float> logits) {
  Row& from = live_[row];
  apply_rules(logits, request_, from.text.tokens);
  if (request_.beam_search()) {
    // One more than there are beams: end of text may be among them.
    most_probable(logits, request_.beam_size + 1, from.next);
    return;
  }
  from.next.clear();
  if (steps_ > 0) {
    from.next.push_back(sample(logits, request_, from.text.sample, steps_));
    return;
  }
  // All samples start from the one prompt.
  for (int64_t i = 0; i < request_.rows(); ++i) {
    from.next.push_back(sample(logits, request_, i, 0));
  }
}

std::vector<size_t> Decoding::advance() {
  std::vector<size_t> parents = request_.beam_search() ? advance_beams() : advance_samples();
  ++steps_;
  // The last token is sampled at the last position and never read again.
  if (steps_ < request_.max_tokens && length() <= text_context_ && !parents.empty()) return parents;
  end();
  return {};
}

std::vector<size_t> Decoding::advance_samples() {
  std::vector<Row> rows;
  std::vector<size_t> parents;
  for (size_t i = 0; i < live_.size(); ++i) {
    Row& from = live_[i];
    for (size_t j = 0; j < from.next.size(); ++j) {
      Text text = j + 1 < from.next.size() ? from.text : std::move(from.text);
      if (steps_ == 0) text.sample = static_cast<int64_t>(j);
      text.log_probability += from.next[j].log_probability;
      if (from.next[j].token == request_.end_of_text) {
        finished_.push_back(std::move(text));
        continue;
      }
      text.tokens.push_back(from.next[j].token);
      rows.push_back({.text = std::move(text), .next = {}});
      parents.push_back(i);
    }
  }
  live_ = std::move(rows);
  return parents;
}

/// openai-whisper, whisper/decoding.py, BeamSearchDecoder.update. What is masked is no candidate
/// here, so that there may be fewer rows than beams.
std::vector<size_t> Decoding::advance_beams() {
  struct Candidate {
    double log_probability;
    size_t row;
    int64_t token;
  };
  std::vector<Candidate> candidates;
  candidates.reserve(live_.size() * static_cast<size_t>(request_.beam_size + 1));
  for (size_t i = 0; i < live_.size(); ++i) {
    for (const Sample& next : live_[i].next) {
      candidates.push_back({live_[i].text.log_probability + next.log_probability, i, next.token});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return a.log_probability > b.log_probability;
  });

  // Half goes to even, as with Python's round().
  const auto wanted = std::max<size_t>(
      1, static_cast<size_t>(
             std::nearbyint(static_cast<double>(request_.beam_size) * request_.patience)));
  std::vector<Row> rows;
  std::vector<size_t> parents;
  for (const Candidate& candidate : candidates) {
    const Text& before = live_[candidate.row].text;
    if (candidate.token == request_.end_of_text) {
      if (finished_.size() == wanted) continue;
      finished_.push_back({before.tokens, candidate.log_probability, 0});
      continue;
    }
    Row row;
    row.text.tokens.reserve(before.tokens.size() + 1);
    row.text.tokens = before.tokens;
    row.text.tokens.push_back(candidate.token);
    row.text.log_probability = candidate.log_probability;
    rows.push_back(std::move(row));
    parents.push_back(candidate.row);
    if (static_cast<int64_t>(rows.size()) == request_.beam_size) break;
  }
  // Where nothing may follow (all is masked, or the model computes NaN) the rows end as they are.
  if (!candidates.empty()) live_ = std::move(rows);
  if (finished_.size() >= wanted) parents.clear();
  return parents;
}

/// What is still live counts as a text too; of a search only where it has found too few.
void Decoding::end() {
  for (Row& row : live_) {
    if (request_.beam_search() && static_cast<int64_t>(finished_.size()) >= request_.beam_size) {
      break;
    }
    finished_.push_back(std::move(row.text));
  }
  live_.clear();
}

/// openai-whisper, whisper/decoding.py, MaximumLikelihoodRanker.
double Decoding::score(const Text& text) const {
  const auto length = static_cast<double>(std::max<size_t>(1, text.tokens.size()));
  const double penalty =
      request_.length_penalty ? std::pow((5 + length) / 6, *request_.length_penalty) : length;
  return text.log_probability / penalty;
}

DecodeResult Decoding::result() const {
  const Text* best = nullptr;
  for (const Text& text : finished_) {
    if (!best || score(text) > score(*best)) best = &text;
  }
  DecodeResult out;
  if (!best) return out;
  out.tokens = best->tokens;
  out.average_log_probability = best->log_probability / static_cast<double>(out.tokens.size() + 1);
  out.no_speech_probability = no_speech_;
  return out;
}

}  // namespace voxpod::whisper
