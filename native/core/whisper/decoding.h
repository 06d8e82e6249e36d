#pragma once

#include <span>
#include <vector>

#include "whisper/decode_request.h"
#include "whisper/sampling.h"

namespace voxpod::whisper {

/// What one request has decoded so far: which rows are live, what they hold, and what becomes of
/// them once their next logits are there. It knows neither model nor cache, so that it depends on
/// nothing but its own logits.
class Decoding {
 public:
  /// One row is live at first, the prompt. `text_context`: positions of the decoder.
  Decoding(DecodeRequest request, int64_t text_context);

  const DecodeRequest& request() const { return request_; }
  /// Rows to compute next; all are as long as each other.
  size_t live() const { return live_.size(); }
  /// The token that a live row ends in.
  int64_t last_token(size_t row) const;
  /// Tokens of each live row, the prompt's counted.
  int64_t length() const { return static_cast<int64_t>(request_.prompt.size()) + steps_; }

  /// Chooses what may follow a live row from its logits, which it masks. Different rows may be
  /// considered at the same time.
  void consider(size_t row, std::span<float> logits);
  /// Takes the step for all live rows, each of which was considered. Returns for every row that is
  /// live now the one it grew out of: none where the decoding is complete.
  std::vector<size_t> advance();

  void set_no_speech_probability(double probability) { no_speech_ = probability; }
  /// The best text; to be asked for when no row is live.
  DecodeResult result() const;

 private:
  struct Text {
    std::vector<int64_t> tokens;  ///< from sample_begin, without end of text
    double log_probability = 0;   ///< end of text counted, where it came
    int64_t sample = 0;           ///< number of the sample, for its seed
  };
  struct Row {
    Text text;
    std::vector<Sample> next;  ///< what may follow, the best first
  };

  std::vector<size_t> advance_samples();
  std::vector<size_t> advance_beams();
  void end();
  double score(const Text& text) const;

  DecodeRequest request_;
  int64_t text_context_;
  int64_t steps_ = 0;  ///< tokens sampled
  std::vector<Row> live_;
  std::vector<Text> finished_;
  double no_speech_ = 0;
};

}  // namespace voxpod::whisper
