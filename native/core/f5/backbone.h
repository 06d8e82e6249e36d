#pragma once

#include <ATen/ops/empty_like.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/cancellation.h"
#include "f5/attention.h"
#include "f5/input_embedding.h"
#include "f5/ragged.h"
#include "f5/text_embedding.h"
#include "f5/time_embedding.h"

namespace voxpod::f5 {

/// A half of an utterance at one point of time.
struct Half {
  at::Tensor mel;           ///< noised, [frames, mels] float32
  at::Tensor context;       ///< of InputEmbedding
  at::Tensor conditioning;  ///< of Backbone::condition: one row
};

/// The network that gives the flow its direction. One thread at a time may use it.
class Backbone {
 public:
  /// Sees what layers give: their names are those of the checkpoint. For tests.
  using Observer = std::function<void(const std::string& name, const at::Tensor& value)>;

  /// Called between layers; throws to end the computation.
  using Check = std::function<void()>;

  virtual ~Backbone() = default;

  /// What points of time become, for all layers: [times, ...] float32.
  virtual at::Tensor condition(std::span<const float> times) const = 0;
  /// Direction of the flow: rows of all halves one after another, [frames, mels] float32. Halves
  /// share the layers' weights and nothing else: what one gets does not depend on the others.
  virtual at::Tensor velocity(std::span<const Half> halves, const Check& check) = 0;

  const TextEmbedding& text() const { return text_; }
  const InputEmbedding& input() const { return input_; }
  void observe(Observer observer) { observer_ = std::move(observer); }

 protected:
  /// A block's feed-forward layers: Linear, GELU by tanh, Linear.
  struct FeedForward {
    FeedForward(Weights& weights, const Geometry& geometry, const std::string& at);
    at::Tensor forward(const at::Tensor& x, std::span<const Sequence> sequences) const;
    Placement placement;
    Linear in;
    Linear out;
  };

  Backbone(Weights& weights, const Geometry& geometry);

  /// The stream before the first layer, [rows, width] float32, each sequence behind `lead` rows of
  /// its own; `sequences` gets where they lie.
  at::Tensor begin(std::span<const Half> halves, int64_t lead, std::vector<Sequence>& sequences);
  /// Uninitialised, as `x`, in the placement's type.
  at::Tensor normal_like(const at::Tensor& x) const { return at::empty_like(x, placement_.dtype); }
  /// x becomes a projection of both, which lie beside each other: of [rows, 2 * width].
  void join(at::Tensor& x, const at::Tensor& skip, const Linear& projection,
            std::span<const Sequence> sequences) const;
  void saw(const std::string& name, const at::Tensor& value) const {
    if (observer_) observer_(name, value);
  }

  Geometry geometry_;
  Placement placement_;
  TextEmbedding text_;
  InputEmbedding input_;
  TimeEmbedding time_;
  RotaryTable rotary_;
  Observer observer_;
};

/// The backbone that the geometry tells of.
std::unique_ptr<Backbone> make_backbone(Weights& weights, const Geometry& geometry);

}  // namespace voxpod::f5
