#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "whisper/geometry.h"

namespace voxpod::test {

/// A folder under the system's temporary one that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, const std::string& bytes);
std::string read_file(const std::filesystem::path& path);

/// The bytes of a safetensors file with float32 tensors.
std::string safetensors(const std::map<std::string, at::Tensor>& tensors);
/// The bytes of a CTranslate2 WhisperSpec with the same weights in float16, or in int8 with a scale
/// a row where `int8` is set.
std::string ctranslate2(const std::map<std::string, at::Tensor>& tensors,
                        const whisper::Geometry& geometry, bool int8);

/// A Whisper of two layers on each side with random weights, the same every time.
whisper::Geometry tiny_geometry();
std::map<std::string, at::Tensor> tiny_weights();
std::string tiny_config();
/// Writes config.json and model.safetensors.
void write_tiny_model(const std::filesystem::path& folder);

}  // namespace voxpod::test
