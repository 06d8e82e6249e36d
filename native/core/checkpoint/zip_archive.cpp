// ZIP as PKWARE's APPNOTE.TXT describes it (version 6.3): behind the entries a central directory,
// 4.3.12, whose place the end record, 4.3.16, or its ZIP64 form, 4.3.14 and 4.3.15, tells. The
// directory alone says where entries lie and how long they are; of an entry's own header only the
// lengths of its name and extra field count, so that descriptors behind the data do not matter.
#include "checkpoint/zip_archive.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "error.h"

namespace voxpod {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kLocator64 = 0x07064b50;
constexpr size_t kLocalSize = 30;
constexpr size_t kDirectorySize = 46;
constexpr size_t kEndSize = 22;
constexpr size_t kEnd64Size = 56;
constexpr size_t kLocatorSize = 20;
constexpr size_t kMaxComment = 65535;
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kExtra64 = 1;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the value stands in the ZIP64 form
constexpr uint16_t kCountIn64 = 0xFFFF;

class Reader {
 public:
  Reader(ZipArchive::Bytes file, const std::string& where) : file_(file), where_(where) {}

  template <typename... Why>
  [[noreturn]] void stop(const Why&... why) const {
    fail(ErrorCode::kCheckpointCorrupt, where_, " is no whole ZIP file: ", why...);
  }

  ZipArchive::Bytes bytes(uint64_t at, uint64_t count, const char* what) const {
    if (at > file_.size() || count > file_.size() - at) stop(what, " lies outside of it");
    return file_.subspan(at, count);
  }

  template <typename T>
  static T number(ZipArchive::Bytes from, size_t at) {
    T value;
    std::memcpy(&value, from.subspan(at, sizeof(T)).data(), sizeof(T));
    return value;
  }

  struct Directory {
    uint64_t at = 0;
    uint64_t size = 0;
    uint64_t count = 0;
  };

  Directory directory() const {
    const uint64_t end_at = find_end();
    const auto end = bytes(end_at, kEndSize, "the end record");
    Directory out = {.at = number<uint32_t>(end, 16),
                     .size = number<uint32_t>(end, 12),
                     .count = number<uint16_t>(end, 10)};
    if (out.at != kIn64 && out.size != kIn64 && out.count != kCountIn64) return out;
    if (end_at < kLocatorSize) return out;
    const auto locator = bytes(end_at - kLocatorSize, kLocatorSize, "the ZIP64 locator");
    if (number<uint32_t>(locator, 0) != kLocator64) return out;
    const auto wide = bytes(number<uint64_t>(locator, 8), kEnd64Size, "the ZIP64 end record");
    if (number<uint32_t>(wide, 0) != kEnd64) stop("it has no ZIP64 end record");
    return {.at = number<uint64_t>(wide, 48),
            .size = number<uint64_t>(wide, 40),
            .count = number<uint64_t>(wide, 32)};
  }

 private:
  /// The end record is the last thing but for a comment.
  uint64_t find_end() const {
    if (file_.size() < kEndSize) stop("it is too short");
    const size_t last = file_.size() - kEndSize;
    const size_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (size_t at = last + 1; at-- > first;) {
      if (number<uint32_t>(file_, at) == kEnd) return at;
    }
    stop("its end is missing: it is cut short");
  }

  ZipArchive::Bytes file_;
  const std::string& where_;
};

/// The ZIP64 extra field holds, in this order, those of size, stored size and offset that do not
/// fit their 32 bits (4.5.3).
void widen(const Reader& reader, ZipArchive::Bytes extra, uint64_t& size, uint64_t& stored,
           uint64_t& offset) {
  while (extra.size() >= 4) {
    const auto id = Reader::number<uint16_t>(extra, 0);
    const size_t length = Reader::number<uint16_t>(extra, 2);
    if (length > extra.size() - 4) reader.stop("an extra field is longer than its place");
    auto field = extra.subspan(4, length);
    extra = extra.subspan(4 + length);
    if (id != kExtra64) continue;
    for (uint64_t* value : {&size, &stored, &offset}) {
      if (*value != kIn64) continue;
      if (field.size() < sizeof(uint64_t)) reader.stop("a ZIP64 field is too short");
      *value = Reader::number<uint64_t>(field, 0);
      field = field.subspan(sizeof(uint64_t));
    }
    return;
  }
}

}  // namespace

ZipArchive::ZipArchive(Bytes file, const std::string& where) {
  const Reader reader(file, where);
  const Reader::Directory directory = reader.directory();
  Bytes left = reader.bytes(directory.at, directory.size, "its directory");
  for (uint64_t i = 0; i < directory.count; ++i) {
    if (left.size() < kDirectorySize || Reader::number<uint32_t>(left, 0) != kDirectoryHeader) {
      reader.stop("its directory ends after ", i, " of ", directory.count, " entries");
    }
    const auto flags = Reader::number<uint16_t>(left, 8);
    const auto method = Reader::number<uint16_t>(left, 10);
    uint64_t stored = Reader::number<uint32_t>(left, 20);
    uint64_t size = Reader::number<uint32_t>(left, 24);
    const size_t name_size = Reader::number<uint16_t>(left, 28);
    const size_t extra_size = Reader::number<uint16_t>(left, 30);
    const size_t comment_size = Reader::number<uint16_t>(left, 32);
    uint64_t at = Reader::number<uint32_t>(left, 42);
    left = left.subspan(kDirectorySize);
    if (left.size() < name_size + extra_size + comment_size) {
      reader.stop("its directory is cut short");
    }
    const std::string name(reinterpret_cast<const char*>(left.data()), name_size);
    widen(reader, left.subspan(name_size, extra_size), size, stored, at);
    left = left.subspan(name_size + extra_size + comment_size);
    if (name.ends_with('/')) continue;
    if (method != 0 || (flags & kEncrypted) != 0) {
      fail(ErrorCode::kModelUnsupported, where, " holds a compressed or encrypted entry, which no ",
           "file of torch.save() does");
    }
    if (size != stored) reader.stop("an uncompressed entry has two sizes");
    const Bytes local = reader.bytes(at, kLocalSize, "an entry");
    if (Reader::number<uint32_t>(local, 0) != kLocalHeader) reader.stop("an entry has no header");
    // `at` lies inside the file and these are 16-bit numbers: no overflow.
    const uint64_t data =
        at + kLocalSize + Reader::number<uint16_t>(local, 26) + Reader::number<uint16_t>(local, 28);
    if (!entries_.emplace(name, reader.bytes(data, size, "an entry's data")).second) {
      reader.stop("an entry stands twice");
    }
  }
}

}  // namespace voxpod
