#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "nn/cross_cache.h"
#include "nn/self_cache.h"
#include "nn/weights.h"
#include "whisper/geometry.h"

namespace voxpod::whisper {

/// One token to run through the decoder.
struct Row {
  int64_t token = 0;
  CachePosition at;
  const CrossCache* audio = nullptr;
};

/// The text decoder (openai-whisper, whisper/model.py, TextDecoder) over key and value caches.
class Decoder {
 public:
  Decoder(Weights& weights, const Geometry& geometry);

  /// Keys and values of all layers for one window, from the encoder's output.
  std::shared_ptr<const CrossCache> read_audio(const at::Tensor& encoded) const;
  /// Room for `sequences` as long as the text context.
  SelfCache make_cache(int64_t sequences) const;

  /// Runs the rows and returns the logits of those at `wanted`: [wanted, vocabulary] float32 on the
  /// CPU. The rows are one token each of several sequences, or the prompt of one, in order.
  at::Tensor forward(std::span<const Row> rows, RowKind kind, SelfCache& cache,
                     const std::vector<int64_t>& wanted) const;

  /// Told the queries [rows, width] that a layer puts to the audio.
  using QueryObserver = std::function<void(int64_t layer, const at::Tensor& query)>;
  /// The rows' last hidden states [rows, width].
  at::Tensor hidden(std::span<const Row> rows, RowKind kind, SelfCache& cache,
                    const QueryObserver& observer = nullptr) const;
  /// [rows, vocabulary] float32 on the CPU of hidden states [rows, width].
  at::Tensor logits(const at::Tensor& hidden, RowKind kind) const;

 private:
  struct Layer {
    LayerNorm self_norm;
    RowLinear query_key_value;
    RowLinear self_out;
    LayerNorm cross_norm;
    RowLinear query;
    Linear key_value;
    RowLinear cross_out;
    LayerNorm mlp_norm;
    RowLinear mlp_in;
    RowLinear mlp_out;
  };

  at::Tensor embed(std::span<const Row> rows) const;

  Placement placement_;
  AttentionShape shape_;
  int64_t audio_context_;
  int64_t text_context_;
  RowLinear tokens_;      ///< the embedding, which is also the output layer
  at::Tensor positions_;  ///< [text_context, width]
  std::vector<Layer> layers_;
  LayerNorm norm_;
};

}  // namespace voxpod::whisper
