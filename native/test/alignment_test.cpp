// Dynamic time warping and the median against plain definitions.
#include "whisper/alignment.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"

namespace {

using namespace voxpod;
using namespace voxpod::whisper;

at::Tensor random(std::vector<int64_t> sizes) {
  static auto generator = at::detail::createCPUGenerator(5);
  return at::randn(sizes, generator, at::kFloat);
}

struct Path {
  double cost = std::numeric_limits<double>::infinity();
  std::vector<int64_t> entered;
};

/// The cheapest of all paths from (i, j) on, `entered` telling where the rows so far were entered.
void follow(const at::Tensor& cost, int64_t i, int64_t j, double before,
            std::vector<int64_t>& entered, Path& best) {
  before += cost[i][j].item<double>();
  if (i == cost.size(0) - 1 && j == cost.size(1) - 1) {
    if (before < best.cost) best = {before, entered};
    return;
  }
  if (j + 1 < cost.size(1)) follow(cost, i, j + 1, before, entered, best);
  if (i + 1 < cost.size(0)) {
    for (const int64_t step : {0, 1}) {
      if (j + step >= cost.size(1)) continue;
      entered.push_back(j + step);
      follow(cost, i + 1, j + step, before, entered, best);
      entered.pop_back();
    }
  }
}

}  // namespace

TEST(alignment_test, "warping finds the cheapest of all paths") {
  for (const int64_t rows : {1, 2, 3, 5}) {
    for (const int64_t columns : {1, 2, 4, 6}) {
      for (int repeat = 0; repeat < 10; ++repeat) {
        const at::Tensor cost = random({rows, columns});
        Path best;
        std::vector<int64_t> entered = {0};
        follow(cost, 0, 0, 0, entered, best);
        EXPECT(warp(cost) == best.entered);
      }
    }
  }
}

TEST(alignment_test, "of equal steps the path stays in its row") {
  EXPECT(warp(at::zeros({3, 5})) == (std::vector<int64_t>{0, 0, 0}));
}

TEST(alignment_test, "the median of seven neighbours, the ends reflected") {
  for (const int64_t size : {4, 5, 7, 33}) {
    const at::Tensor x = random({3, size});
    const at::Tensor found = median_of_seven(x);
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t i = 0; i < size; ++i) {
        std::vector<float> window;
        for (int64_t at = i - 3; at <= i + 3; ++at) {
          const int64_t inside = at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
          window.push_back(x[row][inside].item<float>());
        }
        std::sort(window.begin(), window.end());
        EXPECT_EQUAL(found[row][i].item<float>(), window[3]);
      }
    }
  }
  const at::Tensor narrow = random({2, 3});
  EXPECT(median_of_seven(narrow).equal(narrow));
}

TEST(alignment_test, "a time that all tokens attend to alike is no NaN") {
  at::Tensor attention = random({2, 4, 9});
  attention.select(2, 5).fill_(0.25);
  const at::Tensor matrix = alignment_matrix(attention);
  EXPECT(matrix.isfinite().all().item<bool>());
  EXPECT_EQUAL(matrix.size(0), 4);
  EXPECT_EQUAL(matrix.size(1), 9);
}
