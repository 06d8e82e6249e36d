#include "whisper/decode_request.h"

#include <cmath>

#include "error.h"

namespace voxpod::whisper {
namespace {

constexpr int64_t kMaxBestOf = 64;

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
  check_range(request.best_of, 1, kMaxBestOf, "bestOf");
  check_range(request.end_of_text, 0, geometry.vocabulary - 1, "endOfText");
  check_range(request.no_speech, -1, geometry.vocabulary - 1, "noSpeech");
  if (!(request.temperature >= 0) || !std::isfinite(request.temperature)) {
    fail(ErrorCode::kInvalidArgument, "temperature must be a number of at least 0");
  }
  if (request.timestamps) {
    check_range(request.timestamps->begin, 1, geometry.vocabulary - 1, "timestamps.begin");
    check_range(request.timestamps->none, 0, geometry.vocabulary - 1, "timestamps.none");
    check_range(request.timestamps->max_initial, -1, geometry.vocabulary, "timestamps.maxInitial");
  }
}

}  // namespace voxpod::whisper
