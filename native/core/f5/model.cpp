#include "f5/model.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <utility>

namespace voxpod::f5 {
namespace {

/// Points of time that are looked ahead to: the layers' weights for time, 40 % of all, are read
/// once for so many.
constexpr size_t kTimesAhead = 32;

/// int8 is for layers of few rows, which here are those that nothing waits for.
Placement place(const ModelOptions& options) {
  if (options.dtype == "int8") {
    fail(ErrorCode::kInvalidArgument,
         "Unknown dtype int8: expected auto, float32, bfloat16 or float16");
  }
  Placement placement = make_placement(options.device, options.dtype);
  placement.int8 = false;
  placement.cpu_kernels = options.cpu_kernels;
  return placement;
}

/// A tensor over somebody else's numbers.
at::Tensor view_of(std::span<const float> numbers, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<float*>(numbers.data()), sizes, at::kFloat);
}

}  // namespace

Model::Model(const std::filesystem::path& checkpoint, const std::filesystem::path& vocoder,
             const ModelOptions& options, const std::function<void(double)>& progress,
             const CancellationPtr& cancellation)
    : placement_(place(options)),
      max_batch_frames_(options.max_batch_frames),
      waiting_(options.max_queue) {
  const c10::InferenceMode inference;
  if (options.max_batch_frames < 1 || options.max_queue < 1 || options.threads < 0) {
    fail(ErrorCode::kInvalidArgument,
         "maxBatchFrames and maxQueue must be above 0, threads at least 0");
  }
  const Source source = read(open_checkpoint_file(checkpoint), options.architecture);
  geometry_ = source.geometry;
  Weights weights(source.checkpoint, placement_, progress, guard(cancellation));
  weights.require_finite();
  backbone_ = make_backbone(weights, geometry_);
  vocoder_ = load_vocoder(vocoder, placement_);
  vocoder_name_ = vocoder_->name();
  if (geometry_.mels != kVocoderMels) {
    fail(ErrorCode::kModelUnsupported, "The model has ", geometry_.mels,
         " mel bands where the vocoder takes ", kVocoderMels);
  }
  weight_bytes_ = weights.placed_bytes() + vocoder_->weight_bytes();
  thread_ = std::make_unique<InferenceThread>(
      InferenceThread::Options{.max_queue = options.max_queue, .threads = options.threads},
      [this] { return step(); });
}

Model::~Model() { stop(); }

CancellationPtr Model::guard(const CancellationPtr& caller) const {
  return std::make_shared<Cancellation>(caller, stopped_);
}

void Model::stop() {
  stopped_->cancel(ErrorCode::kDisposed);
  std::call_once(stop_once_, [this] {
    if (!thread_) return;  // loading failed
    thread_->stop();
    // The thread is gone: what it was speaking ends here.
    const Error disposed(ErrorCode::kDisposed, "The model was disposed");
    end_calls(active_, disposed);
    waiting_.end(disposed);
    // Whoever still holds the model holds no weights with it: a garbage collector may take its
    // time.
    backbone_.reset();
    vocoder_.reset();
  });
}

void Model::sample(FlowRequest request, std::function<void(double)> progress,
                   const CancellationPtr& cancellation, Done<at::Tensor> done) {
  try {
    validate(request, geometry_);
    waiting_.push(std::unique_ptr<Call>(new Call{.request = std::move(request),
                                                 .flow = nullptr,
                                                 .progress = std::move(progress),
                                                 .cancellation = guard(cancellation),
                                                 .done = done,
                                                 .conditioning = {}}));
  } catch (...) {
    done(current_error());
    return;
  }
  thread_->wake();
}

void Model::mel(std::span<const float> pcm, const CancellationPtr& cancellation,
                Done<at::Tensor> done) {
  thread_->post<at::Tensor>(guard(cancellation), std::move(done),
                            [this, pcm] { return vocoder_->mel(view_of(pcm, {std::ssize(pcm)})); });
}

void Model::vocode(std::span<const float> mel, const CancellationPtr& cancellation,
                   Done<at::Tensor> done) {
  if (std::ssize(mel) % geometry_.mels != 0) {
    done(Error(ErrorCode::kInvalidArgument, "The mel spectrogram has " +
                                                std::to_string(mel.size()) + " numbers: rows of " +
                                                std::to_string(geometry_.mels) + " were expected"));
    return;
  }
  const auto guarded = guard(cancellation);
  thread_->post<at::Tensor>(guarded, std::move(done), [this, guarded, mel] {
    return vocoder_->decode(view_of(mel, {std::ssize(mel) / geometry_.mels, geometry_.mels}),
                            *guarded);
  });
}

bool Model::step() {
  retire();
  admit();
  try {
    advance();
  } catch (...) {
    const Error error = current_error();
    // A failed step says nothing about which utterance it was: all of them end. Those that were
    // cancelled are told so.
    retire();
    end_calls(active_, error);
  }
  return !active_.empty() || !waiting_.empty();
}

/// Ends utterances that are complete or cancelled.
void Model::retire() {
  const auto over = [](const std::unique_ptr<Call>& call) {
    Outcome<at::Tensor> outcome;
    try {
      call->cancellation->check();
      if (!call->flow->done()) return false;
      outcome = call->flow->result();
    } catch (...) {
      outcome = current_error();
    }
    call->done(std::move(outcome));
    return true;
  };
  std::erase_if(active_, over);
  waiting_.end_cancelled();
}

/// Takes in those that wait, in order, while there is room.
void Model::admit() {
  int64_t frames = 0;
  for (const auto& call : active_) frames += call->flow->frames();
  const auto has_room = [&](const Call& call) {
    return active_.empty() || frames + call.request.frames <= max_batch_frames_;
  };
  while (std::unique_ptr<Call> call = waiting_.take(has_room)) {
    try {
      call->flow = std::make_unique<Flow>(std::move(call->request), *backbone_, geometry_,
                                          placement_, *call->cancellation);
      frames += call->flow->frames();
      active_.push_back(std::move(call));
    } catch (...) {
      call->done(current_error());
    }
  }
}

/// Sees to it that the call's next point of time is known.
void Model::condition(Call& call) {
  if (!call.conditioning.empty()) return;
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  const std::vector<float> times = call.flow->upcoming(kTimesAhead);
  std::vector<float> missing;
  std::map<float, Conditioning> found;
  for (const float time : times) {
    const auto it = known_.find(time);
    if (Conditioning known = it == known_.end() ? nullptr : it->second.lock()) {
      found[time] = std::move(known);
    } else {
      missing.push_back(time);
    }
  }
  if (!missing.empty()) {
    const at::Tensor made = backbone_->condition(missing);
    for (size_t i = 0; i < missing.size(); ++i) {
      found[missing[i]] =
          std::make_shared<const at::Tensor>(made.select(0, static_cast<int64_t>(i)));
      known_[missing[i]] = found[missing[i]];
    }
  }
  for (const float time : times) call.conditioning.push_back(found.at(time));
}

/// One evaluation of the model for every utterance.
void Model::advance() {
  if (active_.empty()) return;
  std::vector<Half> halves;
  for (auto& call : active_) {
    condition(*call);
    call->flow->wanted(*call->conditioning.front(), halves);
  }
  const at::Tensor velocity = backbone_->velocity(halves, [this] {
    const auto cancelled = [](const auto& call) { return call->cancellation->cancelled(); };
    if (std::all_of(active_.begin(), active_.end(), cancelled)) {
      active_.front()->cancellation->check();
    }
  });
  int64_t row = 0;
  for (auto& call : active_) {
    const double before = call->flow->progress();
    call->flow->advance(velocity.narrow(0, row, call->flow->rows()));
    call->conditioning.pop_front();
    row += call->flow->rows();
    if (call->progress && call->flow->progress() > before) call->progress(call->flow->progress());
  }
}

}  // namespace voxpod::f5
