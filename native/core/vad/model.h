#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/inference_thread.h"
#include "vad/silero.h"

namespace voxpod::vad {

/// One recording's way through the detector. Only the model's thread looks inside.
struct Stream {
  SileroState state = {};
  bool finished = false;
};
using StreamPtr = std::shared_ptr<Stream>;

/// A loaded detector with its inference thread. Calls may come from any thread; those of one stream
/// are done in the order in which they came.
class Model {
 public:
  /// Loads on the calling thread. Throws as Silero's constructor does.
  Model(const std::filesystem::path& path, size_t max_queue);
  ~Model();

  /// Probabilities of the windows that 16 kHz `pcm`, which must live until `done` is called,
  /// completes. A call that fails or is cancelled leaves the stream as it was.
  void push(StreamPtr stream, std::span<const float> pcm, const CancellationPtr& cancellation,
            Done<std::vector<float>> done);
  /// The probability of a last window that is not full, or none. The stream takes no more then.
  void finish(StreamPtr stream, const CancellationPtr& cancellation, Done<std::vector<float>> done);

  /// Ends every call with kDisposed and joins the thread. May be called from several threads.
  void stop();

 private:
  void post(StreamPtr stream, const CancellationPtr& caller, Done<std::vector<float>> done,
            std::function<std::vector<float>(Stream&, const Cancellation&)> work);

  Silero detector_;
  CancellationPtr stopped_ = std::make_shared<Cancellation>();
  InferenceThread thread_;
};

}  // namespace voxpod::vad
