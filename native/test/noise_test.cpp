// Held against torch 2.11: torch.manual_seed(seed), then torch.randn(n) for one n after another.
#include "signal/noise.h"

#include <cmath>

#include "check.h"

namespace {

using namespace voxpod;

/// A draw of `count` numbers, of which the first and the last are these.
struct Draw {
  size_t count;
  float first;
  float last;
};

struct Sequence {
  uint64_t seed;
  std::vector<Draw> draws;
};

// Both ways of torch's: one number after another below 16, blocks of 16 from there on, whose last
// block, where the count is no multiple of 16, is drawn anew over the end.
const std::vector<Sequence> kSequences = {
    {0,
     {{1, 1.54099607F, 1.54099607F},
      {3, -0.293428898F, 0.568431258F},
      {15, -1.08452237F, -0.891995311F},
      {16, -0.215863258F, 1.70664334F},
      {17, 0.205525666F, -0.246000946F},
      {7, -1.50910771F, -1.31859577F},
      {100, -1.69647443F, 0.955221832F},
      {2, 1.37571144F, -0.954332113F},
      {1001, -2.88906121F, -0.443280637F}}},
    {42,
     {{5, 0.336690366F, -1.12285638F},
      {5, -0.186328292F, 0.267350882F},
      {33, -0.758131146F, 1.17536771F}}},
    {9007199254740991, {{4, 1.21976304F, -0.373421133F}, {20, 0.414254963F, -1.10060334F}}},
    // torch takes the seed's low 32 bits.
    {4294967296, {{3, 1.54099607F, -2.17878938F}, {16, -0.356128365F, -0.859445632F}}},
};

/// The last bits of a logarithm and a cosine depend on the CPU that torch computes them on.
bool close(float a, float b) { return std::abs(a - b) <= 1e-6F * (1 + std::abs(b)); }

}  // namespace

TEST(noise_test, "the numbers of torch.randn, one draw after another") {
  for (const Sequence& sequence : kSequences) {
    NoiseGenerator noise(sequence.seed);
    for (const Draw& draw : sequence.draws) {
      std::vector<float> out(draw.count);
      noise.draw(out);
      EXPECT(close(out.front(), draw.first));
      EXPECT(close(out.back(), draw.last));
    }
  }
}

TEST(noise_test, "nothing is drawn for nothing, and generators know nothing of each other") {
  NoiseGenerator one(7);
  NoiseGenerator other(7);
  std::vector<float> a(96000);
  std::vector<float> b(96000);
  one.draw({});
  one.draw(a);
  NoiseGenerator(8).draw(b);
  other.draw(b);
  EXPECT(a == b);
  double sum = 0;
  double squares = 0;
  for (const float x : a) {
    sum += x;
    squares += x * x;
  }
  EXPECT_LESS(std::abs(sum / 96000), 0.02);
  EXPECT_LESS(std::abs(squares / 96000 - 1), 0.02);
}
