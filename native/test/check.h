#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "error.h"

// A test is TEST(suite, "what it shows") { EXPECT(...); }. The suite is the file's name: ctest runs
// `voxpod_test SUITE` for each file.
namespace voxpod::test {

struct Case {
  std::string suite;
  std::string name;
  std::function<void()> run;
};
std::vector<Case>& cases();

struct Skip : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Registration {
  Registration(std::string suite, std::string name, std::function<void()> run) {
    cases().push_back({std::move(suite), std::move(name), std::move(run)});
  }
};

[[noreturn]] inline void failure(const char* file, int line, const std::string& text) {
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + text);
}

/// The folder in an environment variable, or a skip that says so.
inline std::filesystem::path folder(const char* variable, const std::string& below = "") {
  const char* value = std::getenv(variable);
  if (!value || !*value) throw Skip(std::string(variable) + " is not set");
  const auto path = std::filesystem::path(value) / below;
  if (!std::filesystem::exists(path)) throw Skip(path.string() + " is not there");
  return path;
}

/// The float32 samples of a mono WAV whose data chunk comes last.
std::vector<float> read_wav(const std::filesystem::path& path);

/// max |a - b| / max |b|.
double relative_error(const at::Tensor& a, const at::Tensor& b);

/// The code of the Error that `run` throws, or nothing.
inline std::optional<ErrorCode> error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

}  // namespace voxpod::test

#define VOXPOD_JOIN2(a, b) a##b
#define VOXPOD_JOIN(a, b) VOXPOD_JOIN2(a, b)
#define TEST(suite, name)                                                         \
  static void VOXPOD_JOIN(test_, __LINE__)();                                     \
  static const ::voxpod::test::Registration VOXPOD_JOIN(registration_, __LINE__)( \
      #suite, name, VOXPOD_JOIN(test_, __LINE__));                                \
  static void VOXPOD_JOIN(test_, __LINE__)()
#define EXPECT(condition)                                                                   \
  do {                                                                                      \
    if (!(condition)) ::voxpod::test::failure(__FILE__, __LINE__, "not true: " #condition); \
  } while (false)
#define EXPECT_EQUAL(a, b)                                                \
  do {                                                                    \
    const auto left = (a);                                                \
    const auto right = (b);                                               \
    if (!(left == right)) {                                               \
      std::ostringstream text;                                            \
      text << #a " is " << left << " where " << right << " was expected"; \
      ::voxpod::test::failure(__FILE__, __LINE__, text.str());            \
    }                                                                     \
  } while (false)
#define EXPECT_LESS(a, b)                                      \
  do {                                                         \
    const auto left = (a);                                     \
    const auto right = (b);                                    \
    if (!(left < right)) {                                     \
      std::ostringstream text;                                 \
      text << #a " is " << left << ", not below " << right;    \
      ::voxpod::test::failure(__FILE__, __LINE__, text.str()); \
    }                                                          \
  } while (false)
#define EXPECT_ERROR(expected, statement)                                                       \
  do {                                                                                          \
    const auto code = ::voxpod::test::error_of([&] { statement; });                             \
    if (!code || *code != (expected)) {                                                         \
      ::voxpod::test::failure(                                                                  \
          __FILE__, __LINE__,                                                                   \
          std::string(#statement " gave ") + (code ? ::voxpod::code_name(*code) : "no error")); \
    }                                                                                           \
  } while (false)
