// Attention of a few queries over one head's cache. Keys lie in blocks of kBlock positions with the
// head's dimensions as rows, so that scores of neighbouring positions fill a vector and memory is
// read in order.
#include "kernels/cpu/simd.h"

namespace {

/// Where a sequence's block starts, in numbers from the first block in memory.
inline int64_t block_offset(const voxpod::cpu::AttentionArgs& args, int64_t block) {
  return (args.pages ? args.pages[block] : block) * args.block_stride;
}

/// Positions that a row sees.
inline int64_t seen_by(const voxpod::cpu::AttentionArgs& args, int64_t row) {
  return args.causal ? args.length - (args.rows - 1 - row) : args.length;
}

template <typename Stored, int Rows>
void scores_tile(const voxpod::cpu::AttentionArgs& args, int64_t row, int64_t padded) {
  using voxpod::cpu::kBlock;
  const auto* keys = static_cast<const typename Stored::Type*>(args.key);
  const float* query = args.query + row * args.query_stride;
  for (int64_t t = 0; t < padded; t += kBlock) {
    const auto* key = keys + block_offset(args, t / kBlock);
    Vec acc[Rows][kBlockVectors];
    for (auto& of_row : acc) {
      for (auto& a : of_row) a = set1(0);
    }
    for (int64_t d = 0; d < args.head; ++d) {
      for (int v = 0; v < kBlockVectors; ++v) {
        const Vec k = Stored::widen(key + d * kBlock + v * kWidth);
        for (int r = 0; r < Rows; ++r) {
          acc[r][v] = fma(set1(query[r * args.query_stride + d]), k, acc[r][v]);
        }
      }
    }
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kBlockVectors; ++v) {
        store(args.scratch + r * padded + t + v * kWidth, acc[r][v]);
      }
    }
  }
}

/// Scores to exp(scale * (score - max)), unnormalised, zero behind `length`; returns their sum.
inline float softmax_row(float* scores, int64_t length, int64_t padded, float scale) {
  for (int64_t t = length; t < padded; ++t) scores[t] = -__builtin_inff();
  Vec top = load(scores);
  for (int64_t t = kWidth; t < padded; t += kWidth) top = max(top, load(scores + t));
  const Vec offset = set1(greatest(top));
  Vec total = set1(0);
  for (int64_t t = 0; t < padded; t += kWidth) {
    const Vec p = exp(mul(sub(load(scores + t), offset), set1(scale)));
    store(scores + t, p);
    total = add(total, p);
  }
  for (int64_t t = length; t < padded; ++t) scores[t] = 0;
  return sum(total);
}

template <typename Stored, int Rows>
void values_tile(const voxpod::cpu::AttentionArgs& args, int64_t row, int64_t length,
                 int64_t padded, const float* sums) {
  using voxpod::cpu::kBlock;
  const float* weights = args.scratch;
  for (int64_t d = 0; d < args.head; d += kBlock) {
    const auto* values = static_cast<const typename Stored::Type*>(args.value) + d;
    Vec acc[Rows][kBlockVectors];
    for (auto& of_row : acc) {
      for (auto& a : of_row) a = set1(0);
    }
    for (int64_t block = 0; block < padded; block += kBlock) {
      const auto* value = values + block_offset(args, block / kBlock);
      const int64_t end = block + kBlock < length ? block + kBlock : length;
      for (int64_t t = block; t < end; ++t, value += args.head) {
        for (int v = 0; v < kBlockVectors; ++v) {
          const Vec x = Stored::widen(value + v * kWidth);
          for (int r = 0; r < Rows; ++r) {
            acc[r][v] = fma(set1(weights[r * padded + t]), x, acc[r][v]);
          }
        }
      }
    }
    for (int r = 0; r < Rows; ++r) {
      const Vec scale = set1(1 / sums[r]);
      for (int v = 0; v < kBlockVectors; ++v) {
        store(args.out + (row + r) * args.out_stride + d + v * kWidth, mul(acc[r][v], scale));
      }
    }
  }
}

template <typename Stored, int Rows>
void attention_tile(const voxpod::cpu::AttentionArgs& args, int64_t row) {
  using voxpod::cpu::kBlock;
  const int64_t length = seen_by(args, row + Rows - 1);
  const int64_t padded = (length + kBlock - 1) / kBlock * kBlock;
  scores_tile<Stored, Rows>(args, row, padded);
  float sums[kRowTile];
  for (int r = 0; r < Rows; ++r) {
    sums[r] = softmax_row(args.scratch + r * padded, seen_by(args, row + r), padded, args.scale);
  }
  values_tile<Stored, Rows>(args, row, length, padded, sums);
}

/// Rows that are fewer than a tile, such as the beams of one window, are one smaller tile: keys and
/// values are read once for all of them.
template <typename Stored>
void attention_rows(const voxpod::cpu::AttentionArgs& args) {
  using Tile = void (*)(const voxpod::cpu::AttentionArgs&, int64_t);
#if defined(__AVX512F__)
  static constexpr Tile kTiles[] = {nullptr,
                                    attention_tile<Stored, 1>,
                                    attention_tile<Stored, 2>,
                                    attention_tile<Stored, 3>,
                                    attention_tile<Stored, 4>,
                                    attention_tile<Stored, 5>,
                                    attention_tile<Stored, 6>,
                                    attention_tile<Stored, 7>,
                                    attention_tile<Stored, 8>};
#else
  static constexpr Tile kTiles[] = {nullptr, attention_tile<Stored, 1>, attention_tile<Stored, 2>};
#endif
  for (int64_t row = 0; row < args.rows; row += kRowTile) {
    kTiles[args.rows - row < kRowTile ? args.rows - row : kRowTile](args, row);
  }
}

void attention(const voxpod::cpu::AttentionArgs& args) {
  if (args.storage == voxpod::cpu::Storage::kBFloat16) {
    attention_rows<BFloat16>(args);
  } else {
    attention_rows<Float32>(args);
  }
}

}  // namespace
