#include "whisper/model.h"

#include <ATen/ops/constant_pad_nd.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <utility>

#include "engine/work_shares.h"
#include "whisper/alignment.h"
#include "whisper/sampling.h"

namespace voxpod::whisper {
namespace {

std::span<float> row_of(const at::Tensor& logits, int64_t row) {
  return {logits.data_ptr<float>() + row * logits.size(1), static_cast<size_t>(logits.size(1))};
}

}  // namespace

Model::Model(const std::filesystem::path& folder, const ModelOptions& options,
             const std::function<void(double)>& progress, const CancellationPtr& cancellation)
    : placement_(make_placement(options.device, options.dtype)), waiting_(options.max_queue) {
  const c10::InferenceMode inference;
  placement_.cpu_kernels = options.cpu_kernels;
  if (options.max_batch < 1 || options.max_queue < 1 || options.threads < 0) {
    fail(ErrorCode::kInvalidArgument, "maxBatch and maxQueue must be above 0, threads at least 0");
  }
  const Source source = open(folder);
  geometry_ = source.geometry;
  // Names of both layouts may stand for the same bytes: count the ones that are asked for.
  Weights weights(source.checkpoint, placement_, progress, guard(cancellation),
                  {"encoder.", "decoder."});
  encoder_ = std::make_unique<Encoder>(weights, geometry_);
  decoder_ = std::make_unique<Decoder>(weights, geometry_);
  weight_bytes_ = weights.placed_bytes();
  rows_ = free_rows_ = options.max_batch;
  cache_ = std::make_unique<SelfCache>(decoder_->make_cache(rows_));
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
    // The thread is gone: what it was decoding ends here.
    const Error disposed(ErrorCode::kDisposed, "The model was disposed");
    end_calls(active_, disposed);
    waiting_.end(disposed);
    // Whoever still holds the model holds no weights with it: a garbage collector may take its
    // time.
    encoder_.reset();
    decoder_.reset();
    cache_.reset();
  });
}

void Model::push(Features features, std::span<const float> pcm, const CancellationPtr& cancellation,
                 Done<int64_t> done) {
  const auto guarded = guard(cancellation);
  thread_->post<int64_t>(guarded, std::move(done), [guarded, features = std::move(features), pcm] {
    return features->push(pcm, *guarded);
  });
}

void Model::finish(Features features, const CancellationPtr& cancellation, Done<int64_t> done) {
  const auto guarded = guard(cancellation);
  thread_->post<int64_t>(guarded, std::move(done), [guarded, features = std::move(features)] {
    return features->finish(*guarded);
  });
}

void Model::encode(Features features, int64_t start, int64_t frames,
                   const CancellationPtr& cancellation, Done<Window> done) {
  try {
    if (frames > kWindowFrames) {
      fail(ErrorCode::kInvalidArgument, "A window has ", kWindowFrames, " frames, not ", frames);
    }
    features->check(start, frames);
  } catch (...) {
    done(current_error());
    return;
  }
  const auto guarded = guard(cancellation);
  thread_->post<Window>(
      guarded, std::move(done), [this, guarded, features = std::move(features), start, frames] {
        return decoder_->read_audio(encode_window(*features, start, frames, *guarded));
      });
}

at::Tensor Model::encode_window(const LogMelStream& features, int64_t start, int64_t frames,
                                const Cancellation& cancellation) const {
  // openai-whisper pads the normalised features with 0, not the audio with silence.
  const at::Tensor mel = at::constant_pad_nd(features.window(start, frames).to(placement_.device),
                                             {0, kWindowFrames - frames});
  return encoder_->forward(mel, cancellation);
}

void Model::detect_language(Window window, int64_t start_of_transcript,
                            std::vector<int64_t> languages, const CancellationPtr& cancellation,
                            Done<std::vector<float>> done) {
  const auto outside = [&](int64_t token) { return token < 0 || token >= geometry_.vocabulary; };
  if (languages.empty() || outside(start_of_transcript) ||
      std::any_of(languages.begin(), languages.end(), outside)) {
    done(Error(ErrorCode::kInvalidArgument, "The language tokens are not of this vocabulary"));
    return;
  }
  thread_->post<std::vector<float>>(
      guard(cancellation), std::move(done),
      [this, window = std::move(window), start_of_transcript, languages = std::move(languages)] {
        SelfCache cache = decoder_->make_cache(1);
        CachePages pages;
        cache.prepare(pages, 0, 1);
        const Row row = {
            .token = start_of_transcript, .at = {.pages = &pages}, .audio = window.get()};
        const at::Tensor logits = decoder_->forward({&row, 1}, RowKind::kPrompt, cache, {0});
        return probabilities(row_of(logits, 0), languages);
      });
}

void Model::align(Window window, AlignRequest request, const CancellationPtr& cancellation,
                  Done<Alignment> done) {
  try {
    validate(request, geometry_);
  } catch (...) {
    done(current_error());
    return;
  }
  const auto guarded = guard(cancellation);
  thread_->post<Alignment>(
      guarded, std::move(done),
      [this, guarded, window = std::move(window), request = std::move(request)] {
        return align_text(*decoder_, geometry_, *window, request, *guarded);
      });
}

void Model::decode(Window window, DecodeRequest request, const CancellationPtr& cancellation,
                   Done<DecodeResult> done) {
  try {
    validate(request, geometry_);
    waiting_.push(std::unique_ptr<Call>(
        new Call{.window = std::move(window),
                 .decoding = Decoding(std::move(request), geometry_.text_context),
                 .cancellation = guard(cancellation),
                 .done = done}));
  } catch (...) {
    done(current_error());
    return;
  }
  thread_->wake();
}

bool Model::step() {
  retire();
  admit();
  try {
    advance();
  } catch (...) {
    // A failed step says nothing about which sequence it was: all of them end.
    const Error error = current_error();
    for (auto& call : active_) release(*call);
    end_calls(active_, error);
  }
  return !active_.empty() || !waiting_.empty();
}

/// Ends decodings that are complete or cancelled.
void Model::retire() {
  const auto over = [this](const std::unique_ptr<Call>& call) {
    try {
      call->cancellation->check();
    } catch (const Error& error) {
      release(*call);
      call->done(error);
      return true;
    }
    if (call->decoding.live() > 0) return false;
    release(*call);
    call->done(call->decoding.result());
    return true;
  };
  std::erase_if(active_, over);
  waiting_.end_cancelled();
}

void Model::release(Call& call) {
  for (CachePages& pages : call.pages) cache_->release(pages);
  call.pages.clear();
  free_rows_ += std::exchange(call.rows, 0);
}

/// Takes in those that wait, in order, while there is room.
void Model::admit() {
  const auto has_room = [this](const Call& call) {
    return active_.empty() || call.decoding.request().rows() <= free_rows_;
  };
  while (std::unique_ptr<Call> call = waiting_.take(has_room)) {
    try {
      call->cancellation->check();
      const int64_t rows = call->decoding.request().rows();
      if (rows > rows_) {  // more than the batch was made for, and nothing else is in it
        cache_ = std::make_unique<SelfCache>(decoder_->make_cache(rows));
        rows_ = free_rows_ = rows;
      }
      call->rows = rows;
      free_rows_ -= rows;
      prefill(*call);
      active_.push_back(std::move(call));
    } catch (...) {
      const Error error = current_error();
      release(*call);
      call->done(error);
    }
  }
}

/// Runs the prompt and takes the first step.
void Model::prefill(Call& call) {
  Decoding& decoding = call.decoding;
  const DecodeRequest& request = decoding.request();
  const int64_t length = decoding.length();
  CachePages& pages = call.pages.emplace_back();
  cache_->prepare(pages, 0, length);
  std::vector<Row> rows;
  for (int64_t i = 0; i < length; ++i) {
    rows.push_back({.token = request.prompt[static_cast<size_t>(i)],
                    .at = {.pages = &pages, .position = i},
                    .audio = call.window.get()});
  }
  const at::Tensor logits =
      decoder_->forward(rows, RowKind::kPrompt, *cache_, {request.start_of_transcript, length - 1});
  if (request.no_speech >= 0) {
    decoding.set_no_speech_probability(probability(row_of(logits, 0), request.no_speech));
  }
  decoding.consider(0, row_of(logits, 1));
  commit(call);
}

/// One token for every live row.
void Model::advance() {
  std::vector<Row> rows;
  std::vector<int64_t> wanted;
  std::vector<std::pair<Decoding*, size_t>> live;
  for (auto& call : active_) {
    const int64_t position = call->decoding.length() - 1;
    for (size_t i = 0; i < call->decoding.live(); ++i) {
      cache_->prepare(call->pages[i], position, position + 1);
      wanted.push_back(static_cast<int64_t>(rows.size()));
      rows.push_back({.token = call->decoding.last_token(i),
                      .at = {.pages = &call->pages[i], .position = position},
                      .audio = call->window.get()});
      live.emplace_back(&call->decoding, i);
    }
  }
  if (rows.empty()) return;
  const at::Tensor logits = decoder_->forward(rows, RowKind::kStep, *cache_, wanted);
  share_work(static_cast<int64_t>(live.size()), [&] {
    return [&](int64_t i) {
      const auto& [decoding, row] = live[static_cast<size_t>(i)];
      decoding->consider(row, row_of(logits, i));
    };
  });
  for (auto& call : active_) {
    if (call->decoding.live() > 0) commit(*call);
  }
}

/// Takes a decoding's step and gives every live row the pages of the one it grew out of.
void Model::commit(Call& call) {
  std::vector<CachePages> pages;
  for (const size_t parent : call.decoding.advance()) {
    pages.push_back(cache_->share(call.pages[parent]));
  }
  for (CachePages& before : call.pages) cache_->release(before);
  call.pages = std::move(pages);
}

}  // namespace voxpod::whisper
