#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace voxpod {

/// The entries of a ZIP file in memory that holds them uncompressed, as torch.save() writes it.
/// With ZIP64 and data descriptors; checksums are not looked at.
class ZipArchive {
 public:
  using Bytes = std::span<const std::byte>;

  /// `file` must outlive the archive; `where` names it in errors. Throws kCheckpointCorrupt where
  /// the file is cut short or lies about its entries, kModelUnsupported where an entry is
  /// compressed or encrypted.
  ZipArchive(Bytes file, const std::string& where);

  /// By name; folders are left out.
  const std::map<std::string, Bytes, std::less<>>& entries() const { return entries_; }

 private:
  std::map<std::string, Bytes, std::less<>> entries_;
};

}  // namespace voxpod
