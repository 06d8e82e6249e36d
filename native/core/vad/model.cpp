#include "vad/model.h"

#include <utility>

namespace voxpod::vad {

Model::Model(const std::filesystem::path& path, size_t max_queue)
    : detector_(path), thread_({.max_queue = max_queue, .threads = 1}, [] { return false; }) {}

Model::~Model() { stop(); }

void Model::stop() {
  stopped_->cancel(ErrorCode::kDisposed);
  thread_.stop();
}

void Model::post(StreamPtr stream, const CancellationPtr& caller, Done<std::vector<float>> done,
                 std::function<std::vector<float>(Stream&, const Cancellation&)> work) {
  const auto cancellation = std::make_shared<Cancellation>(caller, stopped_);
  thread_.post<std::vector<float>>(
      cancellation, std::move(done),
      [stream = std::move(stream), cancellation, work = std::move(work)] {
        if (stream->finished) {
          fail(ErrorCode::kInvalidArgument, "The stream was finished: begin another");
        }
        return work(*stream, *cancellation);
      });
}

void Model::push(StreamPtr stream, std::span<const float> pcm, const CancellationPtr& cancellation,
                 Done<std::vector<float>> done) {
  post(std::move(stream), cancellation, std::move(done),
       [this, pcm](Stream& to, const Cancellation& guard) {
         return detector_.push(to.state, pcm, guard);
       });
}

void Model::finish(StreamPtr stream, const CancellationPtr& cancellation,
                   Done<std::vector<float>> done) {
  post(std::move(stream), cancellation, std::move(done),
       [this](Stream& to, const Cancellation& guard) {
         std::vector<float> last = detector_.finish(to.state, guard);
         to.finished = true;
         return last;
       });
}

}  // namespace voxpod::vad
