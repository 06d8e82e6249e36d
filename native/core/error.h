#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace voxpod {

/// What went wrong, in the words of NativeErrorCode in lib/native.ts.
enum class ErrorCode {
  kInvalidArgument,
  kCheckpointCorrupt,
  kModelNotFound,
  kModelInvalid,
  kModelUnsupported,
  kDeviceUnavailable,
  kOutOfMemory,
  kQueueFull,
  kDisposed,
  kCancelled,
  kNativeFailure,
};

const char* code_name(ErrorCode code);

/// The only exception the core throws on purpose; anything else is a kNativeFailure.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// Throws an Error whose message is the parts, one after another.
template <typename... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(code, message.str());
}

/// The exception in flight as an Error: torch's out-of-memory and its long messages included.
Error current_error();

}  // namespace voxpod
