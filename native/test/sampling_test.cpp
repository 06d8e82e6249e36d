#include "whisper/sampling.h"

#include <cmath>
#include <map>

#include "check.h"

namespace {

using namespace voxpod;
using namespace voxpod::whisper;

// 0-9 text, 10 end of text, 11 no timestamps, 12... timestamps
constexpr int64_t kEnd = 10;
constexpr int64_t kNone = 11;
constexpr int64_t kBegin = 12;
constexpr int64_t kSize = 30;

DecodeRequest request() {
  DecodeRequest out;
  out.end_of_text = kEnd;
  out.timestamps = TimestampRules{.begin = kBegin, .none = kNone, .max_initial = 5};
  return out;
}

/// The tokens that are still allowed after `sampled`, from logits that favour text.
std::vector<int64_t> allowed(const DecodeRequest& options, std::vector<int64_t> sampled,
                             float stamp = -20) {
  std::vector<float> logits(kSize, 0);
  std::fill(logits.begin() + kBegin, logits.end(), stamp);
  apply_rules(logits, options, sampled);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < kSize; ++i) {
    if (std::isfinite(logits[static_cast<size_t>(i)])) out.push_back(i);
  }
  return out;
}

std::vector<int64_t> range(int64_t from, int64_t to) {
  std::vector<int64_t> out;
  for (int64_t i = from; i < to; ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST(sampling_test, "the first token is an early timestamp") {
  EXPECT(allowed(request(), {}) == range(kBegin, kBegin + 6));
}

TEST(sampling_test, "after one timestamp comes text, after text anything later") {
  EXPECT(allowed(request(), {kBegin + 2}) == range(0, 11));
  auto expected = range(0, 11);
  for (const int64_t token : range(kBegin + 3, kSize)) expected.push_back(token);
  EXPECT(allowed(request(), {kBegin + 2, 4}) == expected);
}

TEST(sampling_test, "a closing timestamp is followed by its pair or the end") {
  std::vector<int64_t> expected = {kEnd};
  for (const int64_t token : range(kBegin + 7, kSize)) expected.push_back(token);
  EXPECT(allowed(request(), {kBegin, 4, kBegin + 7}) == expected);
  EXPECT(allowed(request(), {kBegin, 4, kBegin + 7, kBegin + 7}) == range(0, 11));
}

TEST(sampling_test, "timestamps that together outweigh every text token win") {
  // 18 timestamps of logit -2 sum to e^0.89, above the 0 of a text token.
  EXPECT(allowed(request(), {kBegin, 4}, -2) == range(kBegin + 1, kSize));
}

TEST(sampling_test, "suppressed tokens never come, blanks only not first") {
  DecodeRequest options = request();
  options.timestamps.reset();
  options.suppress = {3, 5};
  options.suppress_first = {1, kEnd};
  EXPECT(allowed(options, {}).size() == kSize - 4);
  EXPECT(allowed(options, {2}).size() == kSize - 2);
}

TEST(sampling_test, "what came before is penalised once, whichever sign its logit has") {
  DecodeRequest options = request();
  options.timestamps.reset();
  options.repetition_penalty = 2;
  std::vector<float> logits = {3, -3, 3, -3};
  const std::vector<int64_t> sampled = {0, 1, 0, 0};
  apply_rules(logits, options, sampled);
  EXPECT(logits == (std::vector<float>{1.5, -6, 3, -3}));
}

TEST(sampling_test, "no run of tokens comes twice") {
  DecodeRequest options = request();
  options.timestamps.reset();
  const auto masked = [&](int64_t size, std::vector<int64_t> sampled) {
    options.no_repeat_ngram = size;
    std::vector<int64_t> out;
    std::vector<float> logits(10, 0);
    apply_rules(logits, options, sampled);
    for (size_t i = 0; i < logits.size(); ++i) {
      if (!std::isfinite(logits[i])) out.push_back(static_cast<int64_t>(i));
    }
    return out;
  };
  EXPECT(masked(3, {1, 2, 3, 1, 2, 4, 1, 2}) == (std::vector<int64_t>{3, 4}));
  EXPECT(masked(3, {1, 2, 3, 2, 1}).empty());
  EXPECT(masked(3, {1, 2}).empty());
  EXPECT(masked(2, {7, 7}) == std::vector<int64_t>{7});
  EXPECT(masked(1, {5, 2}) == (std::vector<int64_t>{2, 5}));
  EXPECT(masked(1, {}).empty());
}

TEST(sampling_test, "the most probable tokens, the lower id first of equals, none that is masked") {
  std::vector<Sample> found;
  std::vector<float> logits(2000, -1);
  for (const size_t token : {3, 700, 701, 1999}) logits[token] = 2;
  logits[600] = 5;
  logits[0] = 1;
  const auto tokens = [&](int64_t count) {
    most_probable(logits, count, found);
    std::vector<int64_t> out;
    for (const Sample& sample : found) out.push_back(sample.token);
    return out;
  };
  EXPECT(tokens(6) == (std::vector<int64_t>{600, 3, 700, 701, 1999, 0}));
  EXPECT(tokens(3) == (std::vector<int64_t>{600, 3, 700}));
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  EXPECT_LESS(std::abs(found[0].log_probability - (5 - std::log(total))), 1e-5);
  std::fill(logits.begin() + 1, logits.end(), -INFINITY);
  EXPECT(tokens(3) == std::vector<int64_t>{0});
  logits[0] = -INFINITY;
  EXPECT(tokens(3).empty());
}

TEST(sampling_test, "draws follow the probabilities and depend on seed, row and step alone") {
  DecodeRequest options = request();
  options.temperature = 1;
  options.seed = 5;
  const std::vector<float> logits = {std::log(0.7F), std::log(0.2F), std::log(0.1F), -INFINITY};
  std::map<int64_t, int> counts;
  for (int64_t step = 0; step < 10000; ++step) {
    const Sample drawn = sample(logits, options, 0, step);
    EXPECT_EQUAL(drawn.token, sample(logits, options, 0, step).token);
    EXPECT_LESS(std::abs(drawn.log_probability - logits[static_cast<size_t>(drawn.token)]), 1e-5);
    ++counts[drawn.token];
  }
  EXPECT_LESS(std::abs(counts[0] - 7000), 200);
  EXPECT_LESS(std::abs(counts[1] - 2000), 200);
  EXPECT_LESS(std::abs(counts[2] - 1000), 200);
  int differing = 0;
  for (int64_t step = 0; step < 100; ++step) {
    if (sample(logits, options, 1, step).token != sample(logits, options, 0, step).token) {
      ++differing;
    }
  }
  EXPECT_LESS(10, differing);
}
