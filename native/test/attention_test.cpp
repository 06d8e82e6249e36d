// Attention of a few queries over a cache, by the kernels of every instruction set that this
// machine has.
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <vector>

#include "check.h"
#include "kernels_of_machine.h"

namespace {

using namespace voxpod;
using namespace voxpod::cpu;
using test::available;
using test::random;
using test::relative_error;

TEST(attention_test, "attention: any length and number of queries, alone equal to together") {
  for (const Kernels* kernels : available()) {
    for (const auto storage : {at::kFloat, at::kBFloat16}) {
      for (const int64_t length : {1, 31, 32, 33, 150}) {
        for (const int64_t rows : {1, 5, 8, 11}) {
          const int64_t head = 64;
          const int64_t padded = (length + kBlock - 1) / kBlock * kBlock;
          const at::Tensor query = random({rows, head});
          const at::Tensor key = random({length, head}).to(storage);
          const at::Tensor value = random({length, head}).to(storage);
          const at::Tensor blocks = at::constant_pad_nd(key, {0, 0, 0, padded - length})
                                        .view({-1, kBlock, head})
                                        .transpose(1, 2)
                                        .contiguous();
          at::Tensor out = at::empty({rows, head});
          std::vector<float> scratch(static_cast<size_t>(kMaxTile * padded));
          const auto run = [&](int64_t first, int64_t count, at::Tensor& to) {
            kernels->attention({
                .query = query.const_data_ptr<float>() + first * head,
                .query_stride = head,
                .key = blocks.const_data_ptr(),
                .value = value.const_data_ptr(),
                .block_stride = kBlock * head,
                .pages = nullptr,
                .storage = storage == at::kFloat ? Storage::kFloat32 : Storage::kBFloat16,
                .out = to.data_ptr<float>(),
                .out_stride = head,
                .scratch = scratch.data(),
                .rows = count,
                .length = length,
                .causal = false,
                .head = head,
                .scale = 0.125F,
            });
          };
          run(0, rows, out);
          const at::Tensor scores =
              at::matmul(query.to(at::kDouble), key.t().to(at::kDouble)).mul(0.125);
          const at::Tensor expected = at::matmul(at::softmax(scores, 1), value.to(at::kDouble));
          EXPECT_LESS(relative_error(out, expected), 1e-5);
          at::Tensor alone = at::empty({1, head});
          run(rows - 1, 1, alone);
          EXPECT(alone.equal(out.narrow(0, rows - 1, 1)));

          // The same blocks in another order, with others between.
          const int64_t count = padded / kBlock;
          at::Tensor keys = random({2 * count, head, kBlock}).to(storage);
          at::Tensor values = random({2 * count, kBlock, head}).to(storage);
          const at::Tensor whole = at::constant_pad_nd(value, {0, 0, 0, padded - length});
          std::vector<int32_t> pages;
          for (int64_t i = 0; i < count; ++i) {
            pages.push_back(static_cast<int32_t>(2 * (count - i) - 1));
            keys.select(0, pages.back()).copy_(blocks.select(0, i));
            values.select(0, pages.back()).copy_(whole.narrow(0, i * kBlock, kBlock));
          }
          at::Tensor paged = at::empty({rows, head});
          kernels->attention({
              .query = query.const_data_ptr<float>(),
              .query_stride = head,
              .key = keys.const_data_ptr(),
              .value = values.const_data_ptr(),
              .block_stride = head * kBlock,
              .pages = pages.data(),
              .storage = storage == at::kFloat ? Storage::kFloat32 : Storage::kBFloat16,
              .out = paged.data_ptr<float>(),
              .out_stride = head,
              .scratch = scratch.data(),
              .rows = rows,
              .length = length,
              .causal = false,
              .head = head,
              .scale = 0.125F,
          });
          EXPECT(paged.equal(out));
        }
      }
    }
  }
}

TEST(attention_test, "attention of a prompt: every row is what it is when it comes alone") {
  const int64_t head = 32;
  for (const Kernels* kernels : available()) {
    for (const int64_t length : {1, 8, 33, 70}) {
      const int64_t rows = std::min<int64_t>(length, 13);
      const int64_t padded = (length + kBlock - 1) / kBlock * kBlock;
      const at::Tensor query = random({rows, head});
      const at::Tensor key = random({padded / kBlock, head, kBlock});
      const at::Tensor value = random({padded, head});
      std::vector<float> scratch(static_cast<size_t>(kMaxTile * padded));
      const auto run = [&](int64_t first, int64_t count, int64_t seen, bool causal) {
        at::Tensor out = at::empty({count, head});
        kernels->attention({
            .query = query.const_data_ptr<float>() + first * head,
            .query_stride = head,
            .key = key.const_data_ptr(),
            .value = value.const_data_ptr(),
            .block_stride = kBlock * head,
            .pages = nullptr,
            .storage = Storage::kFloat32,
            .out = out.data_ptr<float>(),
            .out_stride = head,
            .scratch = scratch.data(),
            .rows = count,
            .length = seen,
            .causal = causal,
            .head = head,
            .scale = 0.125F,
        });
        return out;
      };
      const at::Tensor prompt = run(0, rows, length, true);
      for (int64_t row = 0; row < rows; ++row) {
        const at::Tensor alone = run(row, 1, length - (rows - 1 - row), false);
        EXPECT(alone.equal(prompt.narrow(0, row, 1)));
      }
    }
  }
}

}  // namespace
