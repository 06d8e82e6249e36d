#include "error.h"

#include <c10/util/Exception.h>

#include <new>

namespace voxpod {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case ErrorCode::kCheckpointCorrupt:
      return "CHECKPOINT_CORRUPT";
    case ErrorCode::kModelNotFound:
      return "MODEL_NOT_FOUND";
    case ErrorCode::kModelInvalid:
      return "MODEL_INVALID";
    case ErrorCode::kModelUnsupported:
      return "MODEL_UNSUPPORTED";
    case ErrorCode::kDeviceUnavailable:
      return "DEVICE_UNAVAILABLE";
    case ErrorCode::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case ErrorCode::kQueueFull:
      return "QUEUE_FULL";
    case ErrorCode::kDisposed:
      return "DISPOSED";
    case ErrorCode::kCancelled:
      return "CANCELLED";
    case ErrorCode::kNativeFailure:
      return "NATIVE_FAILURE";
  }
  return "NATIVE_FAILURE";
}

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const c10::OutOfMemoryError& error) {
    return Error(ErrorCode::kOutOfMemory, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    // The CPU allocator reports a failed allocation as a plain enforcement error.
    const std::string message = error.what_without_backtrace();
    const bool memory = message.find("can't allocate memory") != std::string::npos;
    return Error(memory ? ErrorCode::kOutOfMemory : ErrorCode::kNativeFailure, message);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "Not enough memory");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kNativeFailure, error.what());
  } catch (...) {
    return Error(ErrorCode::kNativeFailure, "Unknown native exception");
  }
}

}  // namespace voxpod
