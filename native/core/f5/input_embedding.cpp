#include "f5/input_embedding.h"

#include <ATen/ops/cat.h>

namespace voxpod::f5 {

InputEmbedding::InputEmbedding(Weights& weights, const Geometry& geometry)
    : projection_(weights.split_row_linear("input_embed.proj", geometry.width,
                                           2 * geometry.mels + geometry.text_width, geometry.mels)),
      positions_(weights, geometry),
      dtype_(weights.placement().activation()) {}

at::Tensor InputEmbedding::context(const at::Tensor& condition, const at::Tensor& text) const {
  return projection_.second.forward(at::cat({condition, text}, 1).to(dtype_), RowKind::kStep)
      .to(at::kFloat);
}

void InputEmbedding::forward(const at::Tensor& mel, const at::Tensor& context,
                             at::Tensor& out) const {
  out.copy_(context);
  projection_.first.add_to(out, mel.to(dtype_), RowKind::kStep);
  positions_.add_to(out);
}

}  // namespace voxpod::f5
