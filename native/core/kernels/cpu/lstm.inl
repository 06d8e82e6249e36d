// The recurrent part of a long short-term memory: a matrix-vector product a step, whose weights
// come out of the second-level cache, with the gates on the sums while they are in registers.
#include "kernels/cpu/simd.h"

namespace {

/// 1 / (1 + exp(-x)), by exp of what is not above 0.
inline Vec sigmoid(Vec x) {
  const Vec e = exp(mul(set1(-1.0F), abs(x)));
  const Vec low = div(e, add(set1(1.0F), e));  // of -|x|
  const Vec half = set1(0.5F);
  return add(half, copy_sign(sub(half, low), x));
}

inline Vec tanh(Vec x) {
  const Vec e = exp(mul(set1(-2.0F), abs(x)));
  return copy_sign(div(sub(set1(1.0F), e), add(set1(1.0F), e)), x);
}

/// Units [first, first + 2 * kWidth) of one step: eight accumulators, as many as hide the latency
/// of two multipliers.
void lstm_units(const voxpod::cpu::LstmArgs& args, const float* gates, const float* hidden,
                int64_t first, float* out) {
  using voxpod::cpu::kBlock;
  const float* weight = args.weight + first / kBlock * args.size * 4 * kBlock + first % kBlock;
  Vec acc[4][2];
  for (int g = 0; g < 4; ++g) {
    for (int v = 0; v < 2; ++v) acc[g][v] = load(gates + g * args.size + first + v * kWidth);
  }
  for (int64_t k = 0; k < args.size; ++k, weight += 4 * kBlock) {
    const Vec value = set1(hidden[k]);
    for (int g = 0; g < 4; ++g) {
      for (int v = 0; v < 2; ++v) {
        acc[g][v] = fma(value, load(weight + g * kBlock + v * kWidth), acc[g][v]);
      }
    }
  }
  for (int v = 0; v < 2; ++v) {
    float* cell = args.cell + first + v * kWidth;
    const Vec kept = mul(sigmoid(acc[2][v]), load(cell));
    const Vec state = fma(sigmoid(acc[0][v]), tanh(acc[3][v]), kept);
    store(cell, state);
    store(out + first + v * kWidth, mul(sigmoid(acc[1][v]), tanh(state)));
  }
}

void lstm(const voxpod::cpu::LstmArgs& args) {
  const float* hidden = args.hidden;
  for (int64_t step = 0; step < args.steps; ++step) {
    float* out = args.out + step * args.size;
    for (int64_t unit = 0; unit < args.size; unit += 2 * kWidth) {
      lstm_units(args, args.gates + step * 4 * args.size, hidden, unit, out);
    }
    hidden = out;
  }
}

}  // namespace
