// CTranslate2's model.bin, binary version 6, little endian: u32 version, string specification,
// u32 revision, u32 count; per variable its name, u8 rank, u32 dimensions, u8 type, u32 bytes,
// data; u32 count of aliases, pairs (alias, target). A string is u16 length, then bytes with a
// closing NUL. OpenNMT/CTranslate2, src/models/model.cc and python/ctranslate2/specs/model_spec.py.
#include <c10/core/ScalarType.h>

#include <cstring>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "error.h"

namespace voxpod {
namespace {

constexpr uint32_t kVersion = 6;

class Reader {
 public:
  Reader(const MappedFile& file, std::string where)
      : data_(file.data()), size_(file.size()), where_(std::move(where)) {}

  template <typename T>
  T take() {
    T value;
    std::memcpy(&value, bytes(sizeof(T)), sizeof(T));
    return value;
  }

  std::string text() {
    const size_t length = take<uint16_t>();
    const char* begin = reinterpret_cast<const char*>(bytes(length));
    return std::string(begin, ::strnlen(begin, length));
  }

  const std::byte* bytes(size_t count) {
    if (count > size_ - at_) {
      fail(ErrorCode::kCheckpointCorrupt, where_, " ends early, at byte ", size_,
           ": it is cut short or no CTranslate2 model");
    }
    const std::byte* begin = data_ + at_;
    at_ += count;
    return begin;
  }

 private:
  const std::byte* data_;
  size_t size_;
  size_t at_ = 0;
  std::string where_;
};

at::ScalarType scalar_type(const std::string& where, uint8_t id) {
  static constexpr at::ScalarType kTypes[] = {at::kFloat, at::kChar, at::kShort,
                                              at::kInt,   at::kHalf, at::kBFloat16};
  if (id >= std::size(kTypes)) {
    fail(ErrorCode::kCheckpointCorrupt, where, " has a variable of the unknown type ", int{id});
  }
  return kTypes[id];
}

StoredTensor read_variable(Reader& reader, const std::string& where, const std::string& name) {
  StoredTensor out;
  uint64_t expected = 1;
  const int rank = reader.take<uint8_t>();
  for (int i = 0; i < rank; ++i) {
    out.shape.push_back(reader.take<uint32_t>());
    if (__builtin_mul_overflow(expected, static_cast<uint64_t>(out.shape.back()), &expected)) {
      fail(ErrorCode::kCheckpointCorrupt, where, ": ", name, " is larger than memory can be");
    }
  }
  out.dtype = scalar_type(where, reader.take<uint8_t>());
  const size_t bytes = reader.take<uint32_t>();
  if (expected > bytes || expected * c10::elementSize(out.dtype) != bytes) {
    fail(ErrorCode::kCheckpointCorrupt, where, ": ", name, " has ", bytes,
         " bytes where its shape needs ", expected * c10::elementSize(out.dtype));
  }
  out.data = reader.bytes(bytes);
  return out;
}

}  // namespace

void read_ctranslate2(const std::filesystem::path& path, Checkpoint& out,
                      std::string& specification) {
  const auto file = std::make_shared<const MappedFile>(path);
  const std::string where = path.string();
  Reader reader(*file, where);
  const auto version = reader.take<uint32_t>();
  if (version != kVersion) {
    fail(ErrorCode::kModelUnsupported, where, " has version ", version,
         " where CTranslate2's binary version ", kVersion, " was expected");
  }
  specification = reader.text();
  reader.take<uint32_t>();  // revision of the specification
  for (auto left = reader.take<uint32_t>(); left > 0; --left) {
    std::string name = reader.text();
    StoredTensor tensor = read_variable(reader, where, name);
    out.add(std::move(name), std::move(tensor));
  }
  for (auto left = reader.take<uint32_t>(); left > 0; --left) {
    std::string alias = reader.text();
    const std::string target = reader.text();
    if (!out.contains(target)) {
      fail(ErrorCode::kCheckpointCorrupt, where, ": ", alias, " stands for the absent ", target);
    }
    out.add(std::move(alias), out.at(target));
  }
  out.keep(file);

  static constexpr std::string_view kScale = "_scale";
  std::vector<std::pair<std::string, const std::byte*>> scales;
  for (const auto& [name, tensor] : out.tensors()) {
    if (!name.ends_with(kScale) || tensor.dtype != at::kFloat) continue;
    const std::string of = name.substr(0, name.size() - kScale.size());
    if (!out.contains(of) || out.at(of).dtype != at::kChar) continue;
    if (out.at(of).shape.empty() || tensor.shape != std::vector{out.at(of).shape[0]}) {
      fail(ErrorCode::kModelUnsupported, where, ": ", name, " is not one scale for each row");
    }
    scales.emplace_back(of, tensor.data);
  }
  for (const auto& [name, scale] : scales) {
    StoredTensor tensor = out.at(name);
    tensor.row_scale = scale;
    out.add(name, std::move(tensor));
  }
}

}  // namespace voxpod
