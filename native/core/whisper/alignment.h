#pragma once

#include "engine/cancellation.h"
#include "whisper/decode_request.h"
#include "whisper/decoder.h"

namespace voxpod::whisper {

/// One forward pass over the request's tokens, whose cross-attention says when each was spoken.
/// Throws kCancelled.
Alignment align_text(const Decoder& decoder, const Geometry& geometry, const CrossCache& window,
                     const AlignRequest& request, const Cancellation& cancellation);

/// How well tokens and times fit: attention [heads, tokens, times] to [tokens, times] float32 on
/// the CPU. Every head is standardised over its tokens, smoothed in time by a median of seven and
/// averaged with the others.
at::Tensor alignment_matrix(const at::Tensor& attention);

/// The median of seven neighbours along each row of x [rows, size] float32, whose ends are
/// reflected. Rows of three numbers or less stay as they are.
at::Tensor median_of_seven(const at::Tensor& x);

/// Dynamic time warping: for each row of the cost [rows, columns] float32, the column at which the
/// cheapest path from corner to corner enters it. Of equal steps the path goes on in its row.
std::vector<int64_t> warp(const at::Tensor& cost);

}  // namespace voxpod::whisper
