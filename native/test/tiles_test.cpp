// The kernels on AMX's tiles, against ATen in float64.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "check.h"
#include "kernels/cpu/dispatch.h"
#include "nn/cross_cache.h"
#include "nn/linear.h"
#include "nn/tile_linear.h"

namespace {

using namespace voxpod;
using cpu::Epilogue;
using cpu::TileWeight;
using test::relative_error;

at::Tensor random(std::vector<int64_t> sizes) {
  static auto generator = at::detail::createCPUGenerator(4);
  return at::randn(sizes, generator, at::kFloat);
}

void need_tiles() {
  if (!cpu::has_tiles()) throw test::Skip("this CPU has no AMX");
}

/// What a weight is after its rounding.
at::Tensor unpacked(const TileLinear& layer) {
  at::Tensor out = at::empty({layer.columns(), layer.inner()}, at::kFloat);
  for (int64_t i = 0; i < layer.columns(); ++i) layer.row(i, out[i].data_ptr<float>());
  return out;
}

at::Tensor exact(const at::Tensor& x, const TileLinear& layer, const at::Tensor& bias) {
  return at::matmul(x.to(at::kDouble), unpacked(layer).t().to(at::kDouble)).add(bias);
}

}  // namespace

TEST(tiles_test, "weights: rounded to bfloat16, or to 254 steps of a row's greatest") {
  need_tiles();
  for (const int64_t inner : {32, 48, 240}) {
    const at::Tensor weight = random({70, inner});
    const TileLinear narrow(weight, {}, TileWeight::kBFloat16);
    EXPECT(unpacked(narrow).equal(weight.to(at::kBFloat16).to(at::kFloat)));
    const TileLinear whole(weight, {}, TileWeight::kInt8);
    const at::Tensor step = weight.abs().amax(1, true).div(127);
    EXPECT_LESS(unpacked(whole).sub(weight).abs().div(step).max().item<double>(), 0.5001);
  }
}

TEST(tiles_test, "linear: wide input loses nothing but the weights' bits") {
  need_tiles();
  for (const auto type : {TileWeight::kBFloat16, TileWeight::kInt8}) {
    for (const int64_t columns : {1, 31, 32, 100}) {
      const at::Tensor bias = random({columns});
      const TileLinear layer(random({columns, 96}), bias, type);
      for (const int64_t rows : {1, 2, 15, 16, 17, 33, 70, 300}) {
        const at::Tensor x = random({rows, 96});
        const at::Tensor expected = exact(x, layer, bias);
        const at::Tensor start = random({rows, columns});
        const auto run = [&](Epilogue epilogue) {
          at::Tensor out = start.clone();
          layer.run(x, out, true, epilogue);
          return out;
        };
        EXPECT_LESS(relative_error(run(Epilogue::kNone), expected), 2e-4);
        EXPECT_LESS(relative_error(run(Epilogue::kAdd), expected.add(start)), 2e-4);
        const at::Tensor difference = run(Epilogue::kGelu).sub(at::gelu(expected)).abs();
        EXPECT_LESS(difference.max().item<double>(), 2e-4 * expected.abs().max().item<double>());
      }
    }
  }
}

TEST(tiles_test, "linear: rounded input and output") {
  need_tiles();
  const at::Tensor bias = random({100});
  const TileLinear layer(random({100, 240}).mul_(0.1), bias, TileWeight::kBFloat16);
  for (const int64_t rows : {1, 40, 300}) {
    const at::Tensor x = random({rows, 240});
    const at::Tensor expected = exact(x.to(at::kBFloat16), layer, bias);
    for (const at::Tensor& input : {x, x.to(at::kBFloat16)}) {
      at::Tensor out = at::empty({rows, 100}, at::kBFloat16);
      layer.run(input, out, false, Epilogue::kNone);
      EXPECT_LESS(relative_error(out, expected), 4e-3);
      layer.run(input, out, false, Epilogue::kGelu);
      EXPECT_LESS(out.sub(at::gelu(expected)).abs().max().item<double>(),
                  4e-3 * expected.abs().max().item<double>());
      layer.run(input, out, false, Epilogue::kGeluTanh);
      EXPECT_LESS(out.sub(at::gelu(expected, "tanh")).abs().max().item<double>(),
                  4e-3 * expected.abs().max().item<double>());
      at::Tensor sum = at::gelu(random({rows, 100}));
      const at::Tensor total = expected.add(sum);
      layer.run(input, sum, false, Epilogue::kAdd);
      EXPECT_LESS(relative_error(sum, total), 1e-5);
    }
  }
}

TEST(tiles_test, "linear: rows may overlap in memory, as a convolution's do") {
  need_tiles();
  const TileLinear layer(random({100, 240}), random({100}), TileWeight::kBFloat16);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor frames = random({302, 80}).to(type);
    const at::Tensor x = frames.as_strided({300, 240}, {80, 1});
    at::Tensor expected = at::empty({300, 100}, at::kFloat);
    layer.run(x.contiguous(), expected, false, Epilogue::kNone);
    at::Tensor out = at::empty({300, 100}, at::kFloat);
    layer.run(x, out, false, Epilogue::kNone);
    EXPECT(out.equal(expected));
  }
}

TEST(tiles_test, "linear: a row's result is the same to the bit in any batch, on any threads") {
  need_tiles();
  const int threads = at::get_num_threads();
  for (const auto type : {TileWeight::kBFloat16, TileWeight::kInt8}) {
    const TileLinear layer(random({100, 96}), random({100}), type);
    const at::Tensor x = random({300, 96});
    at::Tensor all = at::empty({300, 100}, at::kFloat);
    layer.run(x, all, true, Epilogue::kGelu);
    at::set_num_threads(3);
    for (const int64_t rows : {1, 5, 16, 17, 40, 257}) {
      at::Tensor part = at::empty({rows, 100}, at::kFloat);
      layer.run(x.narrow(0, 7, rows).contiguous(), part, true, Epilogue::kGelu);
      EXPECT(part.equal(all.narrow(0, 7, rows)));
    }
    at::set_num_threads(threads);
  }
}

TEST(tiles_test, "attention over windows: near to exact, alone equal to together") {
  need_tiles();
  for (const bool int8 : {false, true}) {
    const Placement placement = {.dtype = at::kBFloat16, .int8 = int8};
    for (const int64_t head : {32, 64, 96}) {
      const AttentionShape shape = {.layers = 2, .heads = 3, .head_size = head};
      for (const int64_t context : {1, 33, 1500}) {
        std::vector<CrossCache> windows;
        std::vector<at::Tensor> key_values;
        for (int i = 0; i < 3; ++i) {
          windows.emplace_back(shape, context, placement);
          key_values.push_back(random({context, 2 * shape.width()}).to(at::kBFloat16));
          windows.back().set(1, key_values.back());
        }
        // Twenty beams of the first window, then one row each of the others.
        std::vector<const CrossCache*> of_rows(20, &windows[0]);
        of_rows.insert(of_rows.end(), {&windows[1], &windows[2]});
        const at::Tensor query = random({22, shape.width()});
        const at::Tensor together = CrossCache::attend(1, query, of_rows);
        for (int64_t row = 0; row < 22; ++row) {
          const CrossCache* const own = of_rows[static_cast<size_t>(row)];
          const at::Tensor alone = CrossCache::attend(1, query.narrow(0, row, 1), {{own}});
          EXPECT(alone.equal(together.narrow(0, row, 1)));
          const auto split =
              key_values[static_cast<size_t>(own - windows.data())].to(at::kFloat).chunk(2, 1);
          const at::Tensor expected =
              at::scaled_dot_product_attention(shape.split(query.narrow(0, row, 1)),
                                               shape.split(split[0]), shape.split(split[1]))
                  .transpose(1, 2)
                  .reshape({1, shape.width()});
          // Values of random sign nearly cancel over 1500 positions; their rounding does not.
          EXPECT_LESS(relative_error(alone, expected), int8 ? 3e-2 : 1e-4);
        }
        const at::Tensor seen = windows[0].probabilities(1, 2, query, context);
        const at::Tensor keys = key_values[0].narrow(1, 2 * head, head).to(at::kFloat);
        const at::Tensor expected =
            at::matmul(query.narrow(1, 2 * head, head), keys.t()).mul(shape.scale()).softmax(1);
        EXPECT_LESS(relative_error(seen, expected), int8 ? 2e-2 : 1e-5);
      }
    }
  }
}
