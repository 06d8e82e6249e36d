#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/inference_thread.h"
#include "engine/waiting_calls.h"
#include "signal/log_mel.h"
#include "whisper/decoder.h"
#include "whisper/decoding.h"
#include "whisper/encoder.h"

namespace voxpod::whisper {

struct ModelOptions {
  std::string device = "cpu";
  std::string dtype = "auto";
  int threads = 0;          ///< of the CPU engine; 0: one for each core
  int64_t max_batch = 8;    ///< rows decoded at once: windows, their samples and beams
  size_t max_queue = 256;   ///< decodings that may wait, and as many other calls
  bool cpu_kernels = true;  ///< off, ATen's operators alone (for tests of that path)
};

/// A loaded Whisper with its inference thread. Calls may come from any thread; decodings of however
/// many callers share each step of the decoder, and none depends on the others.
class Model {
 public:
  using Window = std::shared_ptr<const CrossCache>;
  using Features = std::shared_ptr<LogMelStream>;

  /// Loads on the calling thread. Throws as `open` and `make_placement` do, and kCancelled.
  Model(const std::filesystem::path& folder, const ModelOptions& options,
        const std::function<void(double)>& progress, const CancellationPtr& cancellation);
  ~Model();

  const Geometry& geometry() const { return geometry_; }
  const Placement& placement() const { return placement_; }
  int64_t weight_bytes() const { return weight_bytes_; }

  /// Features of a recording yet to come, which is pushed on the inference thread.
  Features features() const { return std::make_shared<LogMelStream>(geometry_.mels); }
  /// Takes 16 kHz PCM, which must live until `done` is called with the frames that are complete.
  void push(Features features, std::span<const float> pcm, const CancellationPtr& cancellation,
            Done<int64_t> done);
  /// The end of the recording: `done` is called with its frames.
  void finish(Features features, const CancellationPtr& cancellation, Done<int64_t> done);
  /// Encodes frames [start, start + frames) of the features, zero-padded to a window.
  void encode(Features features, int64_t start, int64_t frames, const CancellationPtr& cancellation,
              Done<Window> done);
  /// Probabilities of the language tokens, given the start-of-transcript token.
  void detect_language(Window window, int64_t start_of_transcript, std::vector<int64_t> languages,
                       const CancellationPtr& cancellation, Done<std::vector<float>> done);
  void decode(Window window, DecodeRequest request, const CancellationPtr& cancellation,
              Done<DecodeResult> done);

  /// When the tokens of a window were spoken: by the cross-attention of the alignment heads in one
  /// pass over the text, as openai-whisper, whisper/timing.py, find_alignment.
  void align(Window window, AlignRequest request, const CancellationPtr& cancellation,
             Done<Alignment> done);

  /// Ends every call with kDisposed and joins the thread. May be called from several threads.
  void stop();

 private:
  struct Call {
    Window window;
    Decoding decoding;
    CancellationPtr cancellation;
    Done<DecodeResult> done;
    std::vector<CachePages> pages = {};  ///< of the live rows
    int64_t rows = 0;                    ///< taken of the batch
  };

  CancellationPtr guard(const CancellationPtr& caller) const;
  at::Tensor encode_window(const LogMelStream& features, int64_t start, int64_t frames,
                           const Cancellation& cancellation) const;

  // On the inference thread:
  bool step();
  void admit();
  void prefill(Call& call);
  void advance();
  void commit(Call& call);
  void retire();
  void release(Call& call);

  Geometry geometry_;
  Placement placement_;
  int64_t weight_bytes_ = 0;
  std::unique_ptr<const Encoder> encoder_;
  std::unique_ptr<const Decoder> decoder_;
  std::unique_ptr<SelfCache> cache_;
  int64_t rows_ = 0;       ///< that the cache has room for
  int64_t free_rows_ = 0;  ///< of them
  WaitingCalls<Call> waiting_;
  std::vector<std::unique_ptr<Call>> active_;
  CancellationPtr stopped_ = std::make_shared<Cancellation>();
  std::once_flag stop_once_;
  std::unique_ptr<InferenceThread> thread_;
};

}  // namespace voxpod::whisper
