#include "whisper/model.h"

#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "signal/log_mel.h"
#include "whisper/sampling.h"

namespace voxpod::whisper {
namespace {

std::span<float> row_of(const at::Tensor& logits, int64_t row) {
  return {logits.data_ptr<float>() + row * logits.size(1), static_cast<size_t>(logits.size(1))};
}

}  // namespace

Model::Model(const std::filesystem::path& folder, const ModelOptions& options,
             const std::function<void(double)>& progress, const CancellationPtr& cancellation)
    : placement_(make_placement(options.device, options.dtype)) {
  const c10::InferenceMode inference;
  placement_.cpu_kernels = options.cpu_kernels;
  if (options.max_batch < 1 || options.max_queue < 1 || options.threads < 0) {
    fail(ErrorCode::kInvalidArgument, "maxBatch and maxQueue must be above 0, threads at least 0");
  }
  const Source source = open(folder);
  geometry_ = source.geometry;
  Weights weights(source.checkpoint, placement_, progress, guard(cancellation));
  encoder_ = std::make_unique<Encoder>(weights, geometry_);
  decoder_ = std::make_unique<Decoder>(weights, geometry_);
  weight_bytes_ = weights.placed_bytes();
  cache_ = std::make_unique<SelfCache>(decoder_->make_cache(options.max_batch));
  for (int64_t slot = options.max_batch; slot-- > 0;) free_slots_.push_back(slot);
  const int threads = options.threads > 0
                          ? options.threads
                          : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  thread_ = std::make_unique<InferenceThread>(
      InferenceThread::Options{.max_queue = options.max_queue, .threads = threads},
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
    for (auto& decoding : waiting_) active_.push_back(std::move(decoding));
    for (auto& decoding : active_) {
      decoding->done(Error(ErrorCode::kDisposed, "The model was disposed"));
    }
    waiting_.clear();
    active_.clear();
  });
}

template <typename T>
void Model::post(const CancellationPtr& cancellation, const std::shared_ptr<Done<T>>& done,
                 std::function<T()> work) {
  thread_->post({
      .run =
          [cancellation, done, work = std::move(work)] {
            try {
              cancellation->check();
              (*done)(work());
            } catch (...) {
              (*done)(current_error());
            }
          },
      .refuse = [done](const Error& error) { (*done)(error); },
  });
}

void Model::log_mel(std::span<const float> pcm, const CancellationPtr& cancellation,
                    Done<at::Tensor> done) {
  const auto guarded = guard(cancellation);
  post<at::Tensor>(guarded, std::make_shared<Done<at::Tensor>>(std::move(done)),
                   [this, guarded, pcm] {
                     return voxpod::log_mel(pcm, geometry_.mels, *guarded).to(placement_.device);
                   });
}

void Model::encode(at::Tensor features, int64_t start, int64_t frames,
                   const CancellationPtr& cancellation, Done<Window> done) {
  if (start < 0 || frames < 1 || frames > kWindowFrames || start > features.size(1) - frames) {
    std::ostringstream message;
    message << "Frames " << start << " to " << start + frames << " are no part of "
            << features.size(1) << " frames of at most " << kWindowFrames;
    done(Error(ErrorCode::kInvalidArgument, message.str()));
    return;
  }
  const auto guarded = guard(cancellation);
  post<Window>(guarded, std::make_shared<Done<Window>>(std::move(done)),
               [this, guarded, features = std::move(features), start, frames] {
                 return decoder_->read_audio(encode_window(features, start, frames, *guarded));
               });
}

at::Tensor Model::encode_window(const at::Tensor& features, int64_t start, int64_t frames,
                                const Cancellation& cancellation) const {
  // openai-whisper pads the normalised features with 0, not the audio with silence.
  const at::Tensor mel =
      at::constant_pad_nd(features.narrow(1, start, frames), {0, kWindowFrames - frames});
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
  post<std::vector<float>>(
      guard(cancellation), std::make_shared<Done<std::vector<float>>>(std::move(done)),
      [this, window = std::move(window), start_of_transcript, languages = std::move(languages)] {
        SelfCache cache = decoder_->make_cache(1);
        const Row row = {.token = start_of_transcript, .at = {}, .audio = window.get()};
        const at::Tensor logits = decoder_->forward({&row, 1}, RowKind::kPrompt, cache, {0});
        const auto values = row_of(logits, 0);
        double top = -INFINITY;
        for (const int64_t token : languages) {
          top = std::max<double>(top, values[static_cast<size_t>(token)]);
        }
        std::vector<float> out;
        double total = 0;
        for (const int64_t token : languages) {
          out.push_back(static_cast<float>(std::exp(values[static_cast<size_t>(token)] - top)));
          total += out.back();
        }
        for (float& p : out) p = static_cast<float>(p / total);
        return out;
      });
}

void Model::decode(Window window, DecodeRequest request, const CancellationPtr& cancellation,
                   Done<DecodeResult> done) {
  try {
    validate(request, geometry_);
  } catch (...) {
    done(current_error());
    return;
  }
  auto decoding = std::make_shared<std::unique_ptr<Decoding>>(std::make_unique<Decoding>());
  **decoding = {.window = std::move(window),
                .request = std::move(request),
                .cancellation = guard(cancellation),
                .done = std::move(done),
                .sequences = {}};
  thread_->post({
      .run = [this, decoding] { waiting_.push_back(std::move(*decoding)); },
      .refuse = [decoding](const Error& error) { (*decoding)->done(error); },
  });
}

bool Model::step() {
  retire();
  admit();
  try {
    advance();
  } catch (...) {
    // A failed step says nothing about which sequence it was: all of them end.
    const Error error = current_error();
    for (auto& decoding : active_) {
      release(*decoding);
      decoding->done(error);
    }
    active_.clear();
  }
  return !active_.empty() || !waiting_.empty();
}

/// Ends decodings that are complete or cancelled.
void Model::retire() {
  const auto over = [this](const std::unique_ptr<Decoding>& decoding) {
    try {
      decoding->cancellation->check();
    } catch (const Error& error) {
      release(*decoding);
      decoding->done(error);
      return true;
    }
    const auto& sequences = decoding->sequences;
    if (sequences.empty() || !std::all_of(sequences.begin(), sequences.end(),
                                          [](const Sequence& s) { return s.finished; })) {
      return false;
    }
    DecodeResult found = result(*decoding);
    release(*decoding);
    decoding->done(std::move(found));
    return true;
  };
  std::erase_if(active_, over);
  std::erase_if(waiting_, over);
}

void Model::release(Decoding& decoding) {
  for (const Sequence& sequence : decoding.sequences) free_slots_.push_back(sequence.slot);
  decoding.sequences.clear();
}

/// Takes in those that wait, in order, while there are slots.
void Model::admit() {
  while (!waiting_.empty()) {
    const int64_t rows = waiting_.front()->request.rows();
    if (rows > cache_->slots() && active_.empty()) {  // more samples than the batch was made for
      cache_ = std::make_unique<SelfCache>(decoder_->make_cache(rows));
      free_slots_.clear();
      for (int64_t slot = rows; slot-- > 0;) free_slots_.push_back(slot);
    }
    if (rows > static_cast<int64_t>(free_slots_.size())) return;
    std::unique_ptr<Decoding> decoding = std::move(waiting_.front());
    waiting_.pop_front();
    try {
      decoding->cancellation->check();
      prefill(*decoding);
      active_.push_back(std::move(decoding));
    } catch (...) {
      const Error error = current_error();
      release(*decoding);
      decoding->done(error);
    }
  }
}

/// Runs the prompt and samples the first token of each sequence.
void Model::prefill(Decoding& decoding) {
  const DecodeRequest& request = decoding.request;
  for (int64_t i = 0; i < request.rows(); ++i) {
    decoding.sequences.push_back({.slot = free_slots_.back(), .tokens = request.prompt});
    free_slots_.pop_back();
  }
  const int64_t slot = decoding.sequences[0].slot;
  const auto length = static_cast<int64_t>(request.prompt.size());
  std::vector<Row> rows;
  for (int64_t i = 0; i < length; ++i) {
    rows.push_back({.token = request.prompt[static_cast<size_t>(i)],
                    .at = {.slot = slot, .position = i},
                    .audio = decoding.window.get()});
  }
  const at::Tensor logits =
      decoder_->forward(rows, RowKind::kPrompt, *cache_, {request.start_of_transcript, length - 1});
  if (request.no_speech >= 0) {
    decoding.no_speech = probability(row_of(logits, 0), request.no_speech);
  }
  for (size_t i = 0; i < decoding.sequences.size(); ++i) {
    Sequence& sequence = decoding.sequences[i];
    if (i > 0) cache_->copy(slot, sequence.slot, length);
    const at::Tensor own = logits.select(0, 1).clone();
    extend(decoding, sequence, {own.data_ptr<float>(), static_cast<size_t>(own.numel())});
  }
}

/// One token for every unfinished sequence.
void Model::advance() {
  std::vector<Row> rows;
  std::vector<int64_t> wanted;
  std::vector<std::pair<Decoding*, Sequence*>> live;
  for (auto& decoding : active_) {
    for (Sequence& sequence : decoding->sequences) {
      if (sequence.finished) continue;
      wanted.push_back(static_cast<int64_t>(rows.size()));
      rows.push_back({.token = sequence.tokens.back(),
                      .at = {.slot = sequence.slot,
                             .position = static_cast<int64_t>(sequence.tokens.size()) - 1},
                      .audio = decoding->window.get()});
      live.emplace_back(decoding.get(), &sequence);
    }
  }
  if (rows.empty()) return;
  const at::Tensor logits = decoder_->forward(rows, RowKind::kStep, *cache_, wanted);
  at::parallel_for(0, static_cast<int64_t>(live.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto& [decoding, sequence] = live[static_cast<size_t>(i)];
      extend(*decoding, *sequence, row_of(logits, i));
    }
  });
}

void Model::extend(Decoding& decoding, Sequence& sequence, std::span<float> logits) {
  const DecodeRequest& request = decoding.request;
  const auto sampled =
      std::span<const int64_t>(sequence.tokens).subspan(static_cast<size_t>(request.sample_begin));
  const auto drawn =
      static_cast<int64_t>(sequence.tokens.size()) - static_cast<int64_t>(request.prompt.size());
  apply_rules(logits, request, sampled);
  const Sample next = sample(logits, request, &sequence - decoding.sequences.data(), drawn);
  sequence.log_probability += next.log_probability;
  if (next.token == request.end_of_text) {
    sequence.finished = true;
    return;
  }
  sequence.tokens.push_back(next.token);
  sequence.finished = drawn + 1 >= request.max_tokens ||
                      static_cast<int64_t>(sequence.tokens.size()) > geometry_.text_context;
}

/// The sequence with the best log-probability a token, as openai-whisper's MaximumLikelihoodRanker.
DecodeResult Model::result(const Decoding& decoding) const {
  const auto begin = static_cast<size_t>(decoding.request.sample_begin);
  const Sequence* best = nullptr;
  double best_score = -INFINITY;
  for (const Sequence& sequence : decoding.sequences) {
    const size_t length = std::max<size_t>(1, sequence.tokens.size() - begin);
    const double score = sequence.log_probability / static_cast<double>(length);
    if (!best || score > best_score) {
      best = &sequence;
      best_score = score;
    }
  }
  DecodeResult out;
  out.tokens.assign(best->tokens.begin() + static_cast<int64_t>(begin), best->tokens.end());
  out.average_log_probability = best->log_probability / static_cast<double>(out.tokens.size() + 1);
  out.no_speech_probability = decoding.no_speech;
  return out;
}

}  // namespace voxpod::whisper
