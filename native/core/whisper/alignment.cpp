#include "whisper/alignment.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/reflection_pad1d.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/std_mean.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>

#include "engine/work_shares.h"

namespace voxpod::whisper {
namespace {

/// Rows whose logits are in memory at once: a vocabulary's are a fifth of a megabyte each.
constexpr int64_t kLogitRows = 64;

constexpr int64_t kReach = 3;  // of the median, to each side

void sort(float& a, float& b) {
  const float low = std::min(a, b);
  b = std::max(a, b);
  a = low;
}

/// A network of 13 exchanges (Devillard 1998, "Fast median search"): without branches, so that the
/// compiler does several at once.
float median(float a, float b, float c, float d, float e, float f, float g) {
  sort(a, f);
  sort(a, d);
  sort(b, g);
  sort(c, e);
  sort(a, b);
  sort(d, f);
  sort(c, g);
  sort(c, d);
  sort(d, g);
  sort(e, f);
  sort(b, e);
  sort(b, d);
  sort(d, e);
  return d;
}

}  // namespace

at::Tensor median_of_seven(const at::Tensor& x) {
  const int64_t size = x.size(1);
  if (size <= kReach) return x;
  const at::Tensor padded = at::reflection_pad1d(x, {kReach, kReach}).contiguous();
  at::Tensor out = at::empty_like(x, at::MemoryFormat::Contiguous);
  share_range(x.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* p = padded.const_data_ptr<float>() + row * padded.size(1);
      float* to = out.data_ptr<float>() + row * size;
      for (int64_t i = 0; i < size; ++i) {
        to[i] = median(p[i], p[i + 1], p[i + 2], p[i + 3], p[i + 4], p[i + 5], p[i + 6]);
      }
    }
  });
  return out;
}

at::Tensor alignment_matrix(const at::Tensor& attention) {
  const auto [deviation, mean] = at::std_mean(attention, at::IntArrayRef{1}, 0, true);
  // A time that no token attends to differently says nothing: 0, where 0 / 0 would be NaN.
  const at::Tensor standard =
      attention.sub(mean).div_(deviation.masked_fill(deviation.eq(0), 1)).to(at::kCPU, at::kFloat);
  const auto sizes = standard.sizes();
  return median_of_seven(standard.reshape({-1, sizes[2]})).view(sizes).mean(0);
}

std::vector<int64_t> warp(const at::Tensor& cost) {
  enum Step : uint8_t { kDiagonal, kRow, kColumn };
  const int64_t rows = cost.size(0);
  const int64_t columns = cost.size(1);
  const at::Tensor whole = cost.contiguous();
  const float* costs = whole.const_data_ptr<float>();
  constexpr float kNever = std::numeric_limits<float>::infinity();
  // totals[j]: the cheapest path to the row before and column j - 1.
  std::vector<float> totals(static_cast<size_t>(columns + 1), kNever);
  totals[0] = 0;
  std::vector<Step> steps(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i) {
    float diagonal = totals[0];
    totals[0] = kNever;
    for (int64_t j = 0; j < columns; ++j) {
      const float above = totals[static_cast<size_t>(j + 1)];
      const float left = totals[static_cast<size_t>(j)];
      // Ties as in openai-whisper, whisper/timing.py, dtw_cpu.
      const Step step = diagonal < above && diagonal < left ? kDiagonal
                        : above < diagonal && above < left  ? kRow
                                                            : kColumn;
      steps[static_cast<size_t>(i * columns + j)] = step;
      const float before = step == kDiagonal ? diagonal : step == kRow ? above : left;
      diagonal = above;
      totals[static_cast<size_t>(j + 1)] = costs[i * columns + j] + before;
    }
  }
  std::vector<int64_t> entered(static_cast<size_t>(rows));
  int64_t i = rows - 1;
  int64_t j = columns - 1;
  while (i >= 0 && j >= 0) {
    entered[static_cast<size_t>(i)] = j;
    // In the first row and column there is one way back.
    const Step step = i == 0   ? kColumn
                      : j == 0 ? kRow
                               : steps[static_cast<size_t>(i * columns + j)];
    if (step != kColumn) --i;
    if (step != kRow) --j;
  }
  return entered;
}

Alignment align_text(const Decoder& decoder, const Geometry& geometry, const CrossCache& window,
                     const AlignRequest& request, const Cancellation& cancellation) {
  std::vector<int64_t> tokens = request.head;
  tokens.insert(tokens.end(), request.text.begin(), request.text.end());
  tokens.push_back(request.end_of_text);
  const auto length = static_cast<int64_t>(tokens.size());
  SelfCache cache = decoder.make_cache(1);
  CachePages pages;
  cache.prepare(pages, 0, length);
  std::vector<Row> rows;
  for (int64_t i = 0; i < length; ++i) {
    rows.push_back({.token = tokens[static_cast<size_t>(i)],
                    .at = {.pages = &pages, .position = i},
                    .audio = &window});
  }
  // Positions of the encoder are two frames apart.
  const int64_t context = std::max<int64_t>(1, request.frames / 2);
  std::vector<at::Tensor> attention;
  const at::Tensor hidden =
      decoder.hidden(rows, RowKind::kPrompt, cache, [&](int64_t layer, const at::Tensor& query) {
        cancellation.check();
        for (const auto& [of, head] : geometry.alignment_heads) {
          if (of == layer) attention.push_back(window.probabilities(layer, head, query, context));
        }
      });

  // The row before each token says where that begins; the one of the last, where it ends.
  const auto before = static_cast<int64_t>(request.head.size()) - 1;
  const auto count = static_cast<int64_t>(request.text.size());
  Alignment out;
  out.starts = warp(alignment_matrix(at::stack(attention)).narrow(0, before, count + 1).neg());
  for (int64_t first = 0; first < count; first += kLogitRows) {
    cancellation.check();
    const int64_t part = std::min(kLogitRows, count - first);
    const at::Tensor text = at::tensor(
        std::vector<int64_t>(request.text.begin() + first, request.text.begin() + first + part),
        at::kLong);
    const at::Tensor probabilities =
        at::log_softmax(decoder.logits(hidden.narrow(0, before + first, part), RowKind::kPrompt)
                            .narrow(1, 0, request.end_of_text),
                        1)
            .gather(1, text.unsqueeze(1))
            .exp_();
    const float* values = probabilities.const_data_ptr<float>();
    out.probabilities.insert(out.probabilities.end(), values, values + part);
  }
  return out;
}

}  // namespace voxpod::whisper
