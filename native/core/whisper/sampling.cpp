#include "whisper/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/dispatch.h"

namespace voxpod::whisper {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

void mask(std::span<float> logits, int64_t begin, int64_t end) {
  const auto size = static_cast<int64_t>(logits.size());
  begin = std::clamp<int64_t>(begin, 0, size);
  end = std::clamp<int64_t>(end, begin, size);
  std::fill(logits.begin() + begin, logits.begin() + end, kMasked);
}

void apply_timestamp_rules(std::span<float> logits, const DecodeRequest& request,
                           const TimestampRules& rules, std::span<const int64_t> sampled) {
  const auto size = static_cast<int64_t>(logits.size());
  const auto is_timestamp = [&](int64_t token) { return token >= rules.begin; };
  mask(logits, rules.none, rules.none + 1);

  // Timestamps come in pairs, but for one directly before the end of text.
  const bool last = !sampled.empty() && is_timestamp(sampled.back());
  const bool before = sampled.size() < 2 || is_timestamp(sampled[sampled.size() - 2]);
  if (last && before) {
    mask(logits, rules.begin, size);
  } else if (last) {
    mask(logits, 0, request.end_of_text);
  }

  // They do not decrease, and a segment is longer than nothing.
  const auto found = std::find_if(sampled.rbegin(), sampled.rend(), is_timestamp);
  if (found != sampled.rend()) {
    mask(logits, rules.begin, last && !before ? *found : *found + 1);
  }

  if (sampled.empty()) {
    mask(logits, 0, rules.begin);
    if (rules.max_initial >= 0) mask(logits, rules.begin + rules.max_initial + 1, size);
  }

  // Where all timestamps together outweigh every text token, it is a timestamp.
  const auto& kernels = cpu::kernels();
  const float* text = logits.data();
  const int64_t best = kernels.max_index(text, rules.begin);
  const float stamps = kernels.log_sum_exp(text + rules.begin, size - rules.begin);
  if (stamps > (best < 0 ? kMasked : text[best])) mask(logits, 0, rules.begin);
}

/// Each token once, however often it came (Keskar et al. 2019, "CTRL", section 4.1).
void penalise_repetition(std::span<float> logits, double penalty,
                         std::span<const int64_t> sampled) {
  thread_local std::vector<int64_t> tokens;
  tokens.assign(sampled.begin(), sampled.end());
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (const int64_t token : tokens) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = static_cast<float>(logit < 0 ? logit * penalty : logit / penalty);
  }
}

/// Masks what would end a run of `size` tokens that was there before.
void forbid_repeated(std::span<float> logits, size_t size, std::span<const int64_t> sampled) {
  if (sampled.size() < size) return;
  const auto last = sampled.last(size - 1);
  for (size_t i = 0; i + size <= sampled.size(); ++i) {
    if (!std::equal(last.begin(), last.end(), sampled.begin() + static_cast<int64_t>(i))) continue;
    logits[static_cast<size_t>(sampled[i + size - 1])] = kMasked;
  }
}

/// A number in [0, 1) that depends on its arguments alone: splitmix64's finaliser (Steele, Lea and
/// Flood 2014, "Fast splittable pseudorandom number generators") over each in turn.
double uniform(uint64_t seed, int64_t row, int64_t step) {
  uint64_t state = seed;
  for (const auto next : {static_cast<uint64_t>(row), static_cast<uint64_t>(step)}) {
    state += 0x9E3779B97F4A7C15U * (next + 1);
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9U;
    state = (state ^ state >> 27) * 0x94D049BB133111EBU;
    state ^= state >> 31;
  }
  return static_cast<double>(state >> 11) * 0x1.0p-53;
}

int64_t draw(std::span<const float> logits, const DecodeRequest& request, int64_t best, int64_t row,
             int64_t step) {
  const double top = logits[static_cast<size_t>(best)];
  const auto weight = [&](float logit) {
    return logit == kMasked ? 0 : std::exp((logit - top) / request.temperature);
  };
  double total = 0;
  for (const float logit : logits) total += weight(logit);
  double left = uniform(request.seed, row, step) * total;
  for (size_t i = 0; i < logits.size(); ++i) {
    left -= weight(logits[i]);
    if (left < 0) return static_cast<int64_t>(i);
  }
  return best;
}

}  // namespace

void apply_rules(std::span<float> logits, const DecodeRequest& request,
                 std::span<const int64_t> sampled) {
  if (request.repetition_penalty != 1) {
    penalise_repetition(logits, request.repetition_penalty, sampled);
  }
  if (request.no_repeat_ngram > 0) {
    forbid_repeated(logits, static_cast<size_t>(request.no_repeat_ngram), sampled);
  }
  if (sampled.empty()) {
    for (const int64_t token : request.suppress_first) mask(logits, token, token + 1);
  }
  for (const int64_t token : request.suppress) mask(logits, token, token + 1);
  if (request.timestamps) apply_timestamp_rules(logits, request, *request.timestamps, sampled);
}

Sample sample(std::span<const float> logits, const DecodeRequest& request, int64_t row,
              int64_t step) {
  const auto size = static_cast<int64_t>(logits.size());
  const auto& kernels = cpu::kernels();
  const int64_t best = kernels.max_index(logits.data(), size);
  // Everything is masked, or the model computes NaN: the text ends here.
  if (best < 0) return {request.end_of_text, 0};
  const int64_t token = request.temperature > 0 ? draw(logits, request, best, row, step) : best;
  return {token, logits[static_cast<size_t>(token)] - kernels.log_sum_exp(logits.data(), size)};
}

void most_probable(std::span<const float> logits, int64_t count, std::vector<Sample>& out) {
  // A vocabulary is read in parts: one whose greatest is too small is passed over by a fast kernel.
  constexpr int64_t kPart = 512;
  const auto size = static_cast<int64_t>(logits.size());
  const auto& kernels = cpu::kernels();
  out.clear();
  float least = kMasked;
  for (int64_t begin = 0; begin < size; begin += kPart) {
    const int64_t end = std::min(size, begin + kPart);
    const int64_t best = kernels.max_index(logits.data() + begin, end - begin);
    if (best < 0 || !(logits[static_cast<size_t>(begin + best)] > least)) continue;
    for (int64_t token = begin; token < end; ++token) {
      const float logit = logits[static_cast<size_t>(token)];
      if (!(logit > least)) continue;
      if (static_cast<int64_t>(out.size()) == count) out.pop_back();
      const auto place = std::find_if(out.begin(), out.end(), [&](const Sample& other) {
        return other.log_probability < logit;
      });
      out.insert(place, {token, logit});
      if (static_cast<int64_t>(out.size()) == count) {
        least = static_cast<float>(out.back().log_probability);
      }
    }
  }
  const float total = kernels.log_sum_exp(logits.data(), size);
  for (Sample& sample : out) sample.log_probability -= total;
}

double probability(std::span<const float> logits, int64_t token) {
  const float total =
      cpu::kernels().log_sum_exp(logits.data(), static_cast<int64_t>(logits.size()));
  return std::exp(static_cast<double>(logits[static_cast<size_t>(token)]) - total);
}

std::vector<float> probabilities(std::span<const float> logits, std::span<const int64_t> tokens) {
  std::vector<float> out;
  for (const int64_t token : tokens) out.push_back(logits[static_cast<size_t>(token)]);
  const float top = *std::max_element(out.begin(), out.end());
  double total = 0;
  for (float& value : out) total += value = std::exp(value - top);
  for (float& value : out) value = static_cast<float>(value / total);
  return out;
}

}  // namespace voxpod::whisper
