#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace voxpod {

/// A file mapped read-only. Weights are read from here straight into their final place, so a model
/// is never in memory twice.
class MappedFile {
 public:
  /// Throws kModelNotFound where the file cannot be opened, kCheckpointCorrupt where it is empty.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  /// Lets the kernel take back the whole pages of a range; reading it again reads the file again.
  void release(const std::byte* begin, size_t size) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace voxpod
