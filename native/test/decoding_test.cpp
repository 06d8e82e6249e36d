// The search of one request, on a toy language whose probabilities depend on the text so far.
#include "whisper/decoding.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "check.h"

namespace {

using namespace voxpod;
using namespace voxpod::whisper;

constexpr int64_t kVocabulary = 5;
constexpr int64_t kEnd = 4;
constexpr int64_t kContext = 64;

/// Logits of what follows `text`: any numbers, the same every time.
std::vector<float> logits_after(const std::vector<int64_t>& text, uint64_t language) {
  uint64_t state = 0x9E3779B97F4A7C15U * (language + 1);
  for (const int64_t token : text) state = (state ^ static_cast<uint64_t>(token)) * 0x100000001B3U;
  std::vector<float> out;
  for (int64_t i = 0; i < kVocabulary; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    out.push_back(static_cast<float>(state >> 40) / static_cast<float>(1 << 24) * 4);
  }
  return out;
}

double log_probability(const std::vector<float>& logits, int64_t token) {
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  return static_cast<double>(logits[static_cast<size_t>(token)]) - std::log(total);
}

DecodeRequest search(int64_t beams, int64_t max_tokens) {
  DecodeRequest out;
  out.prompt = {0};
  out.sample_begin = 1;
  out.end_of_text = kEnd;
  out.max_tokens = max_tokens;
  out.beam_size = beams;
  return out;
}

DecodeResult run(const DecodeRequest& request, uint64_t language) {
  Decoding decoding(request, kContext);
  // The text of each row, followed from outside.
  std::vector<std::vector<int64_t>> texts = {{}};
  while (decoding.live() > 0) {
    EXPECT_EQUAL(texts.size(), decoding.live());
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<float> logits = logits_after(texts[i], language);
      decoding.consider(i, logits);
    }
    std::vector<std::vector<int64_t>> next;
    const std::vector<size_t> parents = decoding.advance();
    for (size_t i = 0; i < parents.size(); ++i) {
      next.push_back(texts[parents[i]]);
      next.back().push_back(decoding.last_token(i));
    }
    texts = std::move(next);
  }
  return decoding.result();
}

struct Scored {
  std::vector<int64_t> text;
  double log_probability;
};

/// Every text of at most `max_tokens`, ended or cut off there.
void enumerate(std::vector<int64_t>& text, double before, int64_t max_tokens, uint64_t language,
               std::vector<Scored>& out) {
  if (static_cast<int64_t>(text.size()) == max_tokens) {
    out.push_back({text, before});
    return;
  }
  const std::vector<float> logits = logits_after(text, language);
  for (int64_t token = 0; token < kVocabulary; ++token) {
    const double after = before + log_probability(logits, token);
    if (token == kEnd) {
      out.push_back({text, after});
      continue;
    }
    text.push_back(token);
    enumerate(text, after, max_tokens, language, out);
    text.pop_back();
  }
}

/// openai-whisper's search, word for word over whole sequences: slow and plain.
Scored plain_search(const DecodeRequest& request, uint64_t language) {
  const auto beams = static_cast<size_t>(request.beam_size);
  const auto wanted = static_cast<size_t>(
      std::nearbyint(static_cast<double>(request.beam_size) * request.patience));
  std::vector<Scored> live = {{{}, 0}};
  std::vector<Scored> finished;
  for (int64_t step = 0; step < request.max_tokens; ++step) {
    std::vector<Scored> candidates;
    for (const Scored& row : live) {
      const std::vector<float> logits = logits_after(row.text, language);
      std::vector<Scored> of_row;
      for (int64_t token = 0; token < kVocabulary; ++token) {
        of_row.push_back({row.text, row.log_probability + log_probability(logits, token)});
        of_row.back().text.push_back(token);
      }
      const auto better = [](const Scored& a, const Scored& b) {
        return a.log_probability > b.log_probability;
      };
      std::stable_sort(of_row.begin(), of_row.end(), better);
      of_row.resize(std::min(of_row.size(), beams + 1));
      candidates.insert(candidates.end(), of_row.begin(), of_row.end());
      std::stable_sort(candidates.begin(), candidates.end(), better);
    }
    live.clear();
    for (Scored& candidate : candidates) {
      if (candidate.text.back() == kEnd) {
        candidate.text.pop_back();
        if (finished.size() < wanted) finished.push_back(candidate);
      } else {
        live.push_back(candidate);
        if (live.size() == beams) break;
      }
    }
    if (finished.size() >= wanted) break;
  }
  for (const Scored& row : live) {
    if (finished.size() >= beams) break;
    finished.push_back(row);
  }
  const auto score = [&](const Scored& one) {
    const auto length = static_cast<double>(std::max<size_t>(1, one.text.size()));
    return one.log_probability /
           (request.length_penalty ? std::pow((5 + length) / 6, *request.length_penalty) : length);
  };
  return *std::max_element(finished.begin(), finished.end(),
                           [&](const auto& a, const auto& b) { return score(a) < score(b); });
}

}  // namespace

TEST(decoding_test, "a search wide enough finds the best of all texts") {
  int ended = 0;
  for (uint64_t language = 0; language < 50; ++language) {
    DecodeRequest request = search(64, 3);
    request.patience = 100;  // no text ends the search
    std::vector<Scored> all;
    std::vector<int64_t> text;
    enumerate(text, 0, request.max_tokens, language, all);
    const Scored* best = nullptr;
    for (const Scored& one : all) {
      const auto score = [](const Scored& of) {
        return of.log_probability / static_cast<double>(std::max<size_t>(1, of.text.size()));
      };
      if (!best || score(one) > score(*best)) best = &one;
    }
    const DecodeResult found = run(request, language);
    EXPECT(found.tokens == best->text);
    EXPECT_LESS(std::abs(found.average_log_probability -
                         best->log_probability / static_cast<double>(best->text.size() + 1)),
                1e-5);
    ended += found.tokens.size() < 3 ? 1 : 0;
  }
  EXPECT_LESS(0, ended);
  EXPECT_LESS(ended, 50);
}

TEST(decoding_test, "a search of any width, patience and penalty finds what a plain one does") {
  std::map<size_t, int> lengths;
  for (uint64_t language = 0; language < 40; ++language) {
    for (const int64_t beams : {1, 2, 3, 5}) {
      for (const double patience : {0.5, 1.0, 1.5, 2.0}) {
        if (std::nearbyint(static_cast<double>(beams) * patience) < 1) continue;
        for (const double penalty : {-1.0, 0.0, 0.6, 1.0}) {
          DecodeRequest request = search(beams, 7);
          request.patience = patience;
          if (penalty >= 0) request.length_penalty = penalty;
          const Scored expected = plain_search(request, language);
          const DecodeResult found = run(request, language);
          EXPECT(found.tokens == expected.text);
          EXPECT_LESS(
              std::abs(found.average_log_probability -
                       expected.log_probability / static_cast<double>(expected.text.size() + 1)),
              1e-5);
          ++lengths[found.tokens.size()];
        }
      }
    }
  }
  EXPECT_LESS(size_t{3}, lengths.size());  // or the toy language shows little
}

TEST(decoding_test, "a search ends where everything is masked, or nothing but the end may follow") {
  DecodeRequest request = search(3, 10);
  for (int64_t token = 0; token < kVocabulary; ++token) request.suppress.push_back(token);
  EXPECT(run(request, 1).tokens.empty());
  request.suppress.pop_back();
  const DecodeResult found = run(request, 1);
  EXPECT(found.tokens.empty());
  EXPECT_EQUAL(found.average_log_probability, 0.0);  // the only one that may follow is certain
}

TEST(decoding_test, "samples of one prompt are told apart, the most probable a token wins") {
  DecodeRequest request = search(0, 6);
  request.temperature = 1;
  double best_score = -INFINITY;
  for (int64_t samples = 1; samples <= 8; ++samples) {
    // Each sample keeps its seed, however many there are: more can only be better.
    request.best_of = samples;
    const DecodeResult found = run(request, 3);
    const auto length = static_cast<double>(std::max<size_t>(1, found.tokens.size()));
    const double score = found.average_log_probability * (length + 1) / length;
    EXPECT(score >= best_score - 1e-9);
    best_score = score;
  }
}
