#include "whisper/decode_request.h"

#include <cmath>

#include "error.h"

namespace voxpod::whisper {
namespace {

constexpr int64_t kMaxRows = 64;
constexpr double kMaxPatience = 100;

void check_tokens(const std::vector<int64_t>& tokens, const Geometry& geometry, const char* name) {
  for (const int64_t token : tokens) {
    if (token < 0 || token >= geometry.vocabulary) {
      fail(ErrorCode::kInvalidArgument, name, " holds token ", token,
           ", outside the vocabulary of ", geometry.vocabulary);
    }
  }
}

void check_range(int64_t value, int64_t from, int64_t to, const char* name) {
  if (value < from || value > to) {
    fail(ErrorCode::kInvalidArgument, name, " must be ", from, " to ", to, ", not ", value);
  }
}

}  // namespace

void validate(const DecodeRequest& request, const Geometry& geometry) {
  const auto length = static_cast<int64_t>(request.prompt.size());
  check_range(length, 1, geometry.text_context, "The prompt's length");
  check_tokens(request.prompt, geometry, "The prompt");
  check_tokens(request.suppress, geometry, "suppress");
  check_tokens(request.suppress_first, geometry, "suppressFirst");
  check_range(request.start_of_transcript, 0, length - 1, "startOfTranscript");
  check_range(request.sample_begin, 0, length, "sampleBegin");
  check_range(request.max_tokens, 1, geometry.text_context, "maxTokens");
  check_range(request.best_of, 1, kMaxRows, "bestOf");
  check_range(request.beam_size, 0, kMaxRows, "beamSize");
  check_range(request.no_repeat_ngram, 0, geometry.text_context, "noRepeatNgramSize");
  check_range(request.end_of_text, 0, geometry.vocabulary - 1, "endOfText");
  check_range(request.no_speech, -1, geometry.vocabulary - 1, "noSpeech");
  if (!(request.temperature >= 0) || !std::isfinite(request.temperature)) {
    fail(ErrorCode::kInvalidArgument, "temperature must be a number of at least 0");
  }
  if (!(request.patience > 0) || !(request.patience <= kMaxPatience)) {
    fail(ErrorCode::kInvalidArgument, "patience must be above 0 and at most ", kMaxPatience);
  }
  if (request.length_penalty && !(*request.length_penalty >= 0 && *request.length_penalty <= 1)) {
    fail(ErrorCode::kInvalidArgument, "lengthPenalty must be between 0 and 1");
  }
  if (!(request.repetition_penalty > 0) || !std::isfinite(request.repetition_penalty)) {
    fail(ErrorCode::kInvalidArgument, "repetitionPenalty must be a number above 0");
  }
  if (request.timestamps) {
    check_range(request.timestamps->begin, 1, geometry.vocabulary - 1, "timestamps.begin");
    check_range(request.timestamps->none, 0, geometry.vocabulary - 1, "timestamps.none");
    check_range(request.timestamps->max_initial, -1, geometry.vocabulary, "timestamps.maxInitial");
  }
}

void validate(const AlignRequest& request, const Geometry& geometry) {
  check_tokens(request.head, geometry, "head");
  check_tokens(request.text, geometry, "text");
  check_range(request.end_of_text, 1, geometry.vocabulary - 1, "endOfText");
  const auto head = static_cast<int64_t>(request.head.size());
  check_range(head, 1, geometry.text_context, "The head's length");
  check_range(static_cast<int64_t>(request.text.size()), 1, geometry.text_context - head - 1,
              "The text's length");
  for (const int64_t token : request.text) {
    check_range(token, 0, request.end_of_text - 1, "A token of text");
  }
  check_range(request.frames, 1, kWindowFrames, "frames");
}

}  // namespace voxpod::whisper
