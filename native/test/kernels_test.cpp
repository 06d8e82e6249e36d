// The CPU kernels of every instruction set this machine has, against ATen in float64.
#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "check.h"
#include "kernels/cpu/dispatch.h"
#include "kernels_of_machine.h"
#include "nn/linear.h"
#include "nn/window_attention.h"

namespace {

using namespace voxpod;
using namespace voxpod::cpu;
using test::available;
using test::random;
using test::relative_error;

at::Tensor pack(const at::Tensor& weight, at::ScalarType storage) {
  const int64_t padding = (kBlock - weight.size(0) % kBlock) % kBlock;
  return at::constant_pad_nd(weight, {0, 0, 0, padding})
      .to(storage)
      .view({-1, kBlock, weight.size(1)})
      .transpose(1, 2)
      .contiguous();
}

at::Tensor run_linear(const Kernels& kernels, const at::Tensor& x, const at::Tensor& packed,
                      const at::Tensor& bias, at::Tensor out, Epilogue epilogue) {
  kernels.linear(
      {
          .x = x.const_data_ptr<float>(),
          .weight = packed.const_data_ptr(),
          .storage = packed.scalar_type() == at::kHalf ? Storage::kFloat16 : Storage::kFloat32,
          .scale = nullptr,
          .bias = bias.const_data_ptr<float>(),
          .out = out.data_ptr<float>(),
          .rows = x.size(0),
          .inner = x.size(1),
          .columns = out.size(1),
          .epilogue = epilogue,
      },
      0, packed.size(0));
  return out;
}

}  // namespace

TEST(kernels_test, "linear: all row counts, storages, epilogues and odd widths") {
  for (const Kernels* kernels : available()) {
    for (const int64_t columns : {1, 31, 32, 100}) {
      const at::Tensor weight = random({columns, 48}).to(at::kHalf).to(at::kFloat);
      const at::Tensor bias = random({columns});
      const at::Tensor padded = at::constant_pad_nd(bias, {0, kBlock - columns % kBlock});
      for (const auto storage : {at::kFloat, at::kHalf}) {
        const at::Tensor packed = pack(weight, storage);
        for (int64_t rows = 1; rows <= 19; ++rows) {
          const at::Tensor x = random({rows, 48});
          const at::Tensor expected =
              at::matmul(x.to(at::kDouble), weight.t().to(at::kDouble)).add(bias);
          const at::Tensor start = random({rows, columns});
          const auto run = [&](Epilogue epilogue) {
            return run_linear(*kernels, x, packed, padded, start.clone(), epilogue);
          };
          EXPECT_LESS(relative_error(run(Epilogue::kNone), expected), 1e-5);
          EXPECT_LESS(relative_error(run(Epilogue::kAdd), expected.add(start)), 1e-5);
          // Against the size of what goes in: GELU makes almost nothing of negative numbers.
          const at::Tensor difference = run(Epilogue::kGelu).sub(at::gelu(expected)).abs();
          EXPECT_LESS(difference.max().item<double>(), 1e-5 * expected.abs().max().item<double>());
        }
      }
    }
  }
}

TEST(kernels_test, "linear: int8 weights with a scale for each column") {
  for (const Kernels* kernels : available()) {
    const at::Tensor whole = random({100, 48}).mul_(40).round_().clamp_(-127, 127);
    const at::Tensor scale = at::constant_pad_nd(random({100}).abs_(), {0, 28});
    const at::Tensor bias = at::constant_pad_nd(random({100}), {0, 28});
    const at::Tensor packed = pack(whole, at::kChar);
    for (int64_t rows = 1; rows <= 9; ++rows) {
      const at::Tensor x = random({rows, 48});
      at::Tensor out = at::empty({rows, 100}, at::kFloat);
      kernels->linear(
          {
              .x = x.const_data_ptr<float>(),
              .weight = packed.const_data_ptr(),
              .storage = Storage::kInt8,
              .scale = scale.const_data_ptr<float>(),
              .bias = bias.const_data_ptr<float>(),
              .out = out.data_ptr<float>(),
              .rows = rows,
              .inner = 48,
              .columns = 100,
              .epilogue = Epilogue::kNone,
          },
          0, packed.size(0));
      const at::Tensor expected = at::matmul(x.to(at::kDouble), whole.t().to(at::kDouble))
                                      .mul(scale.narrow(0, 0, 100))
                                      .add(bias.narrow(0, 0, 100));
      EXPECT_LESS(relative_error(out, expected), 1e-5);
    }
  }
}

TEST(kernels_test, "parallel loops run on the threads they are given") {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  at::set_num_threads(threads);
  EXPECT_EQUAL(seen.size(), size_t{2});
}

TEST(kernels_test, "linear of a prompt in bfloat16: close to float32, on any number of threads") {
  if (!has_bfloat16_kernels() || has_tiles()) {
    throw test::Skip("this CPU has no AVX512-BF16, or has AMX");
  }
  const Placement placement = {.dtype = at::kBFloat16};
  const int threads = at::get_num_threads();
  for (const int64_t columns : {32, 100}) {
    const RowLinear layer(random({columns, 96}), random({columns}), placement);
    for (const int64_t rows : {8, 13, 227}) {
      const at::Tensor x = random({rows, 96});
      for (const auto activation : {Activation::kNone, Activation::kGelu}) {
        const at::Tensor expected = layer.forward(x, RowKind::kStep, activation);
        at::set_num_threads(1);
        const at::Tensor prompt = layer.forward(x, RowKind::kPrompt, activation);
        at::set_num_threads(3);
        EXPECT(!prompt.equal(expected));  // else it was not the kernel that ran
        EXPECT_LESS(relative_error(prompt, expected), 1e-2);
        EXPECT(layer.forward(x, RowKind::kPrompt, activation).equal(prompt));
        at::set_num_threads(threads);
      }
    }
  }
}

TEST(kernels_test, "linear: a row's result is the same to the bit in any batch") {
  for (const Kernels* kernels : available()) {
    const at::Tensor packed = pack(random({64, 96}), at::kHalf);
    const at::Tensor bias = random({64});
    const at::Tensor x = random({17, 96});
    const at::Tensor all =
        run_linear(*kernels, x, packed, bias, at::empty({17, 64}), Epilogue::kGelu);
    for (int64_t row = 0; row < 17; ++row) {
      const at::Tensor alone = run_linear(*kernels, x.narrow(0, row, 1).clone(), packed, bias,
                                          at::empty({1, 64}), Epilogue::kGelu);
      EXPECT(alone.equal(all.narrow(0, row, 1)));
    }
  }
}

TEST(kernels_test, "rows: layer norm, arg max and log-sum-exp, with masks") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Kernels* kernels : available()) {
    for (const int64_t size : {1, 15, 64, 515}) {
      const at::Tensor x = random({size}).mul(4).add(2);
      const at::Tensor gamma = random({size});
      const at::Tensor beta = random({size});
      at::Tensor out = at::empty({size});
      kernels->layer_norm(x.const_data_ptr<float>(), gamma.const_data_ptr<float>(),
                          beta.const_data_ptr<float>(), out.data_ptr<float>(), size);
      const at::Tensor expected = at::layer_norm(x.to(at::kDouble), {size}, gamma.to(at::kDouble),
                                                 beta.to(at::kDouble), 1e-5);
      EXPECT_LESS(relative_error(out, expected), 1e-5);

      at::Tensor logits = random({size}).mul(10);
      EXPECT_EQUAL(kernels->max_index(logits.const_data_ptr<float>(), size),
                   logits.argmax().item<int64_t>());
      if (size > 2) logits.narrow(0, 1, size - 2).fill_(-infinity);
      const double total = at::logsumexp(logits.to(at::kDouble), 0).item<double>();
      EXPECT_LESS(std::abs(kernels->log_sum_exp(logits.const_data_ptr<float>(), size) - total),
                  1e-5 * std::max(1.0, std::abs(total)));
      logits.fill_(-infinity);
      EXPECT_EQUAL(kernels->max_index(logits.const_data_ptr<float>(), size), -1);
      EXPECT_EQUAL(kernels->log_sum_exp(logits.const_data_ptr<float>(), size), -infinity);
    }
  }
}

TEST(kernels_test, "attention of a window equals ATen's, whatever the number of threads") {
  if (!has_bfloat16_kernels()) throw test::Skip("this CPU has no AVX512-BF16");
  const Placement kernel = {.dtype = at::kBFloat16};
  const Placement generic = {.dtype = at::kFloat, .cpu_kernels = false};
  const int threads = at::get_num_threads();
  for (const int64_t time : {1, 7, 33, 150, 1500}) {
    const at::Tensor qkv = random({time, 3 * 3 * 64}).to(at::kBFloat16);
    const at::Tensor expected = window_attention(qkv.to(at::kFloat), 3, generic);
    at::set_num_threads(1);
    const at::Tensor alone = window_attention(qkv, 3, kernel);
    EXPECT_LESS(relative_error(alone, expected), 1e-2);
    at::set_num_threads(8);
    EXPECT(window_attention(qkv, 3, kernel).equal(alone));
    at::set_num_threads(threads);
  }
}

TEST(kernels_test, "attention of a window with scores of any size, and whatever comes late") {
  if (!has_bfloat16_kernels()) throw test::Skip("this CPU has no AVX512-BF16");
  const Placement kernel = {.dtype = at::kBFloat16};
  const Placement generic = {.dtype = at::kFloat, .cpu_kernels = false};
  for (const int64_t head : {32, 64, 96}) {
    for (const double size : {0.01, 3.0, 20.0}) {
      at::Tensor qkv = random({200, 3 * 2 * head}).to(at::kBFloat16);
      at::Tensor keys = qkv.narrow(1, 2 * head, 2 * head);
      // Scores of thousands: the last keys' exceed the first ones' by more than a float's range.
      keys.mul_(size);
      keys.narrow(0, 150, 50).mul_(size);
      const at::Tensor expected = window_attention(qkv.to(at::kFloat), 2, generic);
      EXPECT_LESS(relative_error(window_attention(qkv, 2, kernel), expected), 2e-2);
    }
  }
}
