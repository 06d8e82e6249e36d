#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/inference_thread.h"
#include "engine/waiting_calls.h"
#include "f5/backbone.h"
#include "f5/flow.h"
#include "vocoder/vocoder.h"

namespace voxpod::f5 {

struct ModelOptions {
  std::string device = "cpu";
  std::string dtype = "auto";
  int threads = 0;                  ///< of the CPU engine; 0: one for each core
  int64_t max_batch_frames = 4096;  ///< of all utterances in a step; one alone may have more
  size_t max_queue = 256;           ///< utterances that may wait, and as many other calls
  Architecture architecture = {};
  bool cpu_kernels = true;  ///< off, ATen's operators alone (for tests of that path)
};

/// A loaded F5-TTS or E2-TTS with its inference thread. Calls may come from any thread; utterances
/// of however many callers share each step, and none depends on the others.
class Model {
 public:
  /// Loads on the calling thread. Throws as `read`, `load_vocoder` and `make_placement` do, and
  /// kCancelled.
  Model(const std::filesystem::path& checkpoint, const std::filesystem::path& vocoder,
        const ModelOptions& options, const std::function<void(double)>& progress,
        const CancellationPtr& cancellation);
  ~Model();

  const Geometry& geometry() const { return geometry_; }
  const Placement& placement() const { return placement_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  const std::string& vocoder_name() const { return vocoder_name_; }

  /// Mel [frames, mels] of PCM at kVocoderRate, which must live until `done` is called.
  void mel(std::span<const float> pcm, const CancellationPtr& cancellation, Done<at::Tensor> done);
  /// PCM [samples] of a mel [frames, mels], which must live until `done` is called.
  void vocode(std::span<const float> mel, const CancellationPtr& cancellation,
              Done<at::Tensor> done);
  /// `done` gets all frames of the utterance, [frames, mels]; `progress`, which may be empty, 0 to
  /// 1 on the inference thread.
  void sample(FlowRequest request, std::function<void(double)> progress,
              const CancellationPtr& cancellation, Done<at::Tensor> done);

  /// Ends every call with kDisposed and joins the thread. May be called from several threads.
  void stop();

 private:
  using Conditioning = std::shared_ptr<const at::Tensor>;

  struct Call {
    FlowRequest request;  ///< until the flow begins
    std::unique_ptr<Flow> flow;
    std::function<void(double)> progress;
    CancellationPtr cancellation;
    Done<at::Tensor> done;
    std::deque<Conditioning> conditioning;  ///< of the next points of time
  };

  CancellationPtr guard(const CancellationPtr& caller) const;

  // On the inference thread:
  bool step();
  void retire();
  void admit();
  void advance();
  void condition(Call& call);

  Geometry geometry_;
  Placement placement_;
  int64_t weight_bytes_ = 0;
  int64_t max_batch_frames_ = 0;
  std::string vocoder_name_;
  std::unique_ptr<Backbone> backbone_;
  std::unique_ptr<const Vocoder> vocoder_;
  WaitingCalls<Call> waiting_;
  std::vector<std::unique_ptr<Call>> active_;
  /// What is known of points of time, while a call still needs it.
  std::map<float, std::weak_ptr<const at::Tensor>> known_;
  CancellationPtr stopped_ = std::make_shared<Cancellation>();
  std::once_flag stop_once_;
  std::unique_ptr<InferenceThread> thread_;
};

}  // namespace voxpod::f5
