// voxpod_test [SUITE]: exit status 0 where all passed, 1 where one failed, 77 where all were
// skipped.
#include <c10/core/InferenceMode.h>

#include <cstring>
#include <fstream>

#include "check.h"

namespace voxpod::test {

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

std::vector<float> read_wav(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const size_t data = bytes.find("data") + 8;
  std::vector<float> out((bytes.size() - data) / sizeof(float));
  std::memcpy(out.data(), bytes.data() + data, out.size() * sizeof(float));
  return out;
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) throw std::runtime_error("shapes differ");
  const double scale = b.abs().max().to(at::kDouble).item<double>();
  return a.to(at::kDouble).sub(b.to(at::kDouble)).abs().max().item<double>() / scale;
}

}  // namespace voxpod::test

int main(int count, char** arguments) {
  using namespace voxpod::test;
  const c10::InferenceMode inference;
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (const Case& test : cases()) {
    if (count > 1 && test.suite != arguments[1]) continue;
    try {
      test.run();
      ++passed;
      std::cout << "ok " << test.suite << ": " << test.name << std::endl;
    } catch (const Skip& skip) {
      ++skipped;
      std::cout << "skipped " << test.suite << ": " << test.name << ": " << skip.what()
                << std::endl;
    } catch (const std::exception& error) {
      ++failed;
      std::cout << "FAILED " << test.suite << ": " << test.name << ": " << error.what()
                << std::endl;
    }
  }
  std::cout << passed << " passed, " << failed << " failed, " << skipped << " skipped" << std::endl;
  if (failed > 0 || passed + skipped == 0) return 1;
  return passed > 0 ? 0 : 77;
}
