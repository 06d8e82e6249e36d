// The safetensors format: u64 length of a JSON header, the header (name -> dtype, shape and
// data_offsets, relative to the header's end), then the tensors' bytes, little endian.
// https://github.com/huggingface/safetensors, README "Format".
#include <c10/core/ScalarType.h>

#include <cstring>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "checkpoint/json.h"
#include "error.h"

namespace voxpod {
namespace {

// The reference refuses longer headers too (safetensors/src/tensor.rs, MAX_HEADER_SIZE).
constexpr uint64_t kMaxHeader = 100'000'000;

std::optional<at::ScalarType> scalar_type(std::string_view name) {
  if (name == "F32") return at::kFloat;
  if (name == "F16") return at::kHalf;
  if (name == "BF16") return at::kBFloat16;
  if (name == "F64") return at::kDouble;
  if (name == "I64") return at::kLong;
  if (name == "I32") return at::kInt;
  if (name == "I16") return at::kShort;
  if (name == "I8") return at::kChar;
  if (name == "U8") return at::kByte;
  if (name == "BOOL") return at::kBool;
  return std::nullopt;
}

StoredTensor read_entry(const std::string& where, const std::string& name, const Json& entry,
                        const std::byte* data, uint64_t size) {
  const auto stop = [&](auto... why) {
    fail(ErrorCode::kCheckpointCorrupt, where, ": tensor ", name, " ", why...);
  };
  const Json* dtype = entry.find("dtype");
  const Json* shape = entry.find("shape");
  const Json* offsets = entry.find("data_offsets");
  if (!dtype || !dtype->string() || !shape || !shape->array() || !offsets || !offsets->array() ||
      offsets->array()->size() != 2) {
    stop("lacks dtype, shape or data_offsets");
  }
  const auto type = scalar_type(*dtype->string());
  if (!type) stop("has the unknown type ", *dtype->string());
  StoredTensor out;
  out.dtype = *type;
  uint64_t bytes = c10::elementSize(*type);
  for (const Json& item : *shape->array()) {
    int64_t dimension = 0;
    if (!item.to_integer(dimension)) stop("has a shape that is none");
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes)) {
      stop("is larger than memory can be");
    }
    out.shape.push_back(dimension);
  }
  int64_t begin = 0;
  int64_t end = 0;
  if (!(*offsets->array())[0].to_integer(begin) || !(*offsets->array())[1].to_integer(end) ||
      begin > end || static_cast<uint64_t>(end) > size) {
    stop("lies outside the file: it may be cut short");
  }
  if (static_cast<uint64_t>(end - begin) != bytes) {
    stop("has ", end - begin, " bytes where its shape needs ", bytes);
  }
  out.data = data + begin;
  return out;
}

}  // namespace

void read_safetensors(const std::filesystem::path& path, Checkpoint& out) {
  const auto file = std::make_shared<const MappedFile>(path);
  const std::string where = path.string();
  uint64_t header = 0;
  if (file->size() < sizeof(header)) {
    fail(ErrorCode::kCheckpointCorrupt, where, " is too short for a safetensors file");
  }
  std::memcpy(&header, file->data(), sizeof(header));
  if (header > kMaxHeader || header > file->size() - sizeof(header)) {
    fail(ErrorCode::kCheckpointCorrupt, where, " claims a header of ", header,
         " bytes: it is cut short or no safetensors file");
  }
  const Json json = Json::parse(file->text().substr(sizeof(header), header), where);
  if (!json.object()) fail(ErrorCode::kCheckpointCorrupt, where, " has a header that is no object");
  const std::byte* data = file->data() + sizeof(header) + header;
  const uint64_t size = file->size() - sizeof(header) - header;
  for (const auto& [name, entry] : *json.object()) {
    if (name == "__metadata__") continue;
    out.add(name, read_entry(where, name, entry, data, size));
  }
  out.keep(file);
}

}  // namespace voxpod
