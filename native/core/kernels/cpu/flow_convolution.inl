// One group of a convolution over time on tiles. The rows of x lie one after another, so those that
// one tap of the kernel sees are a tile in memory as they are: nothing is packed.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_linear.inl"
#include "kernels/cpu/tile_registers.h"
#include "kernels/cpu/tiles.h"

namespace {

using voxpod::cpu::TileConvolutionArgs;

/// x * tanh(log(1 + e^x)), by which tanh(log(1 + u)) = (u^2 + 2u) / (u^2 + 2u + 2); from 20 on it
/// is x in float32.
inline Vec mish(Vec x) {
  const Vec u = exp(_mm512_min_ps(x, set1(20)));
  const Vec n = mul(u, add(u, set1(2)));
  return mul(x, div(n, add(n, set1(2))));
}

/// Sums of rows [first, first + 32) and one block of 32 output channels.
inline void convolve_block(const TileConvolutionArgs& args, int64_t first, int64_t block,
                           Sums& sums) {
  const int64_t stride = args.group * 2;
  const int64_t steps = args.kernel * args.group / 32;
  const uint8_t* weight = static_cast<const uint8_t*>(args.weight) + block * steps * 2 * kTileBytes;
  const uint16_t* rows = args.x + first * args.group;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  // Taps follow each other at the distance of a row: (tap, channel) is one running offset.
  for (int64_t k = 0; k < args.kernel * args.group; k += 32) {
    _tile_loadd(6, weight, 64);
    _tile_loadd(4, rows + k, stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, weight + kTileBytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, rows + 16 * args.group + k, stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    weight += 2 * kTileBytes;
  }
  constexpr int64_t kStride = sizeof(sums.of[0]);
  _tile_stored(0, sums.of[0], kStride);
  _tile_stored(1, sums.of[0] + 16, kStride);
  _tile_stored(2, sums.of[16], kStride);
  _tile_stored(3, sums.of[16] + 16, kStride);
}

void convolve_on_tiles(const TileConvolutionArgs& args) {
  const Tiles tiles(16);
  for (int64_t first = 0; first < args.rows; first += kPanelRows) {
    const int64_t rows = args.rows - first < kPanelRows ? args.rows - first : kPanelRows;
    for (int64_t block = 0; block < args.group / kBlock; ++block) {
      Sums sums;
      convolve_block(args, first, block, sums);
      const int64_t column = block * kBlock;
      const Vec bias[2] = {load(args.bias + column), load(args.bias + column + kWidth)};
      for (int64_t r = 0; r < rows; ++r) {
        Vec value[2];
        for (int v = 0; v < 2; ++v) value[v] = mish(add(load(sums.of[r] + v * kWidth), bias[v]));
        if (args.next) {
          _mm512_storeu_si512(args.next + (first + r) * args.group + column,
                              narrow(value[0], value[1]));
          continue;
        }
        float* out = args.sum + (first + r) * args.sum_stride + column;
        for (int v = 0; v < 2; ++v) {
          store(out + v * kWidth, add(load(out + v * kWidth), value[v]));
        }
      }
    }
  }
}

void narrow_rows(const float* x, int64_t stride, int64_t rows, int64_t size, uint16_t* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < size; i += 32) {
      _mm512_storeu_si512(out + r * size + i,
                          narrow(load(x + r * stride + i), load(x + r * stride + i + kWidth)));
    }
  }
}

}  // namespace
