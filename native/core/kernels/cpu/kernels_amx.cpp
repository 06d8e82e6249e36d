// The kernels that need AMX's tiles for bfloat16 and int8, and AVX512-BF16 beside them.
#include "kernels/cpu/flow_convolution.inl"
#include "kernels/cpu/tile_attention.inl"
#include "kernels/cpu/tile_cross_attention.inl"
#include "kernels/cpu/tile_head.inl"
#include "kernels/cpu/tile_linear.inl"
#include "kernels/cpu/tile_weight.inl"
#include "kernels/cpu/tiles.h"

namespace voxpod::cpu {

void pack_tile_weight(TileWeight type, const void* source, Storage storage, int64_t columns,
                      int64_t inner, int64_t begin, int64_t end, void* out, float* scale) {
  switch (storage) {
    case Storage::kFloat32:
      return pack_weight<Float32>(type, source, columns, inner, begin, end, out, scale);
    case Storage::kFloat16:
      return pack_weight<Float16>(type, source, columns, inner, begin, end, out, scale);
    case Storage::kBFloat16:
      return pack_weight<BFloat16>(type, source, columns, inner, begin, end, out, scale);
    case Storage::kInt8:  // comes dequantised
      return;
  }
}

void unpack_tile_row(TileWeight type, const void* weight, const float* scale, int64_t inner,
                     int64_t row, float* out) {
  unpack_row(type, weight, scale, inner, row, out);
}

int64_t panel_bytes(const TileLinearArgs& args) {
  return scales_at(args) + kPanelRows * static_cast<int64_t>(sizeof(float));
}

void pack_panel(const TileLinearArgs& args, int64_t panel, uint8_t* packed) {
  pack_rows(args, panel, packed);
}

void tile_linear(const TileLinearArgs& args, int64_t first, int64_t last, const uint8_t* packed,
                 int64_t begin, int64_t end) {
  linear_on_tiles(args, first, last, packed, begin, end);
}

int64_t tile_head_bytes(TileWeight type, int64_t time, int64_t head) {
  return layout_of(type, time, head).bytes;
}

int64_t tile_scores_bytes(int64_t time) {
  // Scores, and weights as wide as they are; 64 positions are a step in int8.
  return kPanelRows * (blocks_of(time) * kBlock + 64) * 8;
}

int64_t tile_window_bytes(int64_t head) { return QueryPanel::scratch_bytes(head); }

void pack_head_tiles(TileWeight type, const uint16_t* keys, const uint16_t* values, int64_t stride,
                     int64_t time, int64_t head, uint8_t* packed) {
  pack_head(type, keys, values, stride, time, head, packed);
}

void unpack_key(TileWeight type, const uint8_t* packed, int64_t time, int64_t head,
                int64_t position, float* out) {
  const auto* scale =
      reinterpret_cast<const float*>(packed + layout_of(type, time, head).key_scale);
  unpack_row(type, packed, scale, head, position, out);
}

void window_attention_tiles(const WindowAttentionArgs& args, int64_t head, int64_t begin,
                            int64_t end, const uint8_t* packed, uint8_t* scratch) {
  attention_on_tiles(args, head, begin, end, packed, scratch);
}

void cross_attention_tiles(const TileAttentionArgs& args, uint8_t* scratch) {
  if (args.type == TileWeight::kInt8) {
    cross_attention_on_tiles<true>(args, scratch);
  } else {
    cross_attention_on_tiles<false>(args, scratch);
  }
}

void convolution_tiles(const TileConvolutionArgs& args) { convolve_on_tiles(args); }

void narrow_tiles(const float* x, int64_t stride, int64_t rows, int64_t size, uint16_t* out) {
  narrow_rows(x, stride, rows, size, out);
}

}  // namespace voxpod::cpu
