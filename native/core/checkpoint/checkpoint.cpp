#include "checkpoint/checkpoint.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/ScalarType.h>

#include <cstring>
#include <set>

#include "checkpoint/json.h"
#include "checkpoint/torch_pickle.h"
#include "error.h"

namespace voxpod {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

at::Tensor dequantise(const StoredTensor& stored) {
  at::Tensor out = at::empty(stored.shape, at::kFloat);
  const int64_t rows = stored.shape[0];
  const int64_t columns = rows == 0 ? 0 : out.numel() / rows;
  const auto* values = reinterpret_cast<const int8_t*>(stored.data);
  float* to = out.data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row) {
    float scale = 0;
    std::memcpy(&scale, stored.row_scale + row * sizeof(float), sizeof(float));
    const float factor = scale == 0 ? 0 : 1 / scale;
    for (int64_t i = row * columns; i < (row + 1) * columns; ++i) {
      to[i] = static_cast<float>(values[i]) * factor;
    }
  }
  return out;
}

void read_sharded(const std::filesystem::path& index, Checkpoint& out) {
  const MappedFile file(index);
  const Json json = Json::parse(file.text(), index.string());
  const Json* map = json.find("weight_map");
  if (!map || !map->object()) {
    fail(ErrorCode::kCheckpointCorrupt, index.string(), " has no weight_map");
  }
  std::set<std::string> shards;
  for (const auto& [name, shard] : *map->object()) {
    // A plain file name: an index must not lead out of the model's folder.
    if (!shard.string() || shard.string()->empty() ||
        shard.string()->find('/') != std::string::npos || (*shard.string())[0] == '.') {
      fail(ErrorCode::kCheckpointCorrupt, index.string(), " names no file for ", name);
    }
    shards.insert(*shard.string());
  }
  for (const std::string& shard : shards) read_safetensors(index.parent_path() / shard, out);
  for (const auto& [name, shard] : *map->object()) {
    if (!out.contains(name)) {
      fail(ErrorCode::kCheckpointCorrupt, *shard.string(), " lacks ", name, ", which ",
           index.string(), " places there");
    }
  }
}

}  // namespace

size_t StoredTensor::bytes() const {
  size_t count = c10::elementSize(dtype);
  for (const int64_t dimension : shape) count *= static_cast<size_t>(dimension);
  return count;
}

void Checkpoint::add(std::string name, StoredTensor tensor) {
  tensors_.insert_or_assign(std::move(name), std::move(tensor));
}

const StoredTensor& Checkpoint::at(std::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    fail(ErrorCode::kModelInvalid, "The checkpoint has no tensor ", name);
  }
  return it->second;
}

at::Tensor Checkpoint::tensor(std::string_view name, at::IntArrayRef shape) const {
  const StoredTensor& stored = at(name);
  if (shape != at::IntArrayRef(stored.shape)) {
    fail(ErrorCode::kModelInvalid, name, " has shape ", shape_text(stored.shape), " where ",
         shape_text(shape), " was expected");
  }
  if (stored.dtype == at::kChar && stored.row_scale) return dequantise(stored);
  if (stored.dtype != at::kFloat && stored.dtype != at::kHalf && stored.dtype != at::kBFloat16) {
    fail(ErrorCode::kModelUnsupported, name, " holds ", c10::toString(stored.dtype),
         " where float32, float16, bfloat16 or scaled int8 was expected");
  }
  const at::TensorOptions options(stored.dtype);
  if (reinterpret_cast<uintptr_t>(stored.data) % c10::elementSize(stored.dtype) == 0) {
    return at::from_blob(const_cast<std::byte*>(stored.data), stored.shape, options);
  }
  ::at::Tensor aligned = ::at::empty(stored.shape, options);
  std::memcpy(aligned.data_ptr(), stored.data, stored.bytes());
  return aligned;
}

void Checkpoint::release(std::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return;
  const StoredTensor& stored = it->second;
  for (const auto& file : files_) {
    if (stored.data >= file->data() && stored.data < file->data() + file->size()) {
      file->release(stored.data, stored.bytes());
    }
  }
}

Checkpoint open_checkpoint(const std::filesystem::path& folder) {
  Checkpoint out;
  if (const auto path = folder / "model.safetensors"; std::filesystem::exists(path)) {
    read_safetensors(path, out);
  } else if (const auto index = folder / "model.safetensors.index.json";
             std::filesystem::exists(index)) {
    read_sharded(index, out);
  } else if (const auto bin = folder / "model.bin"; std::filesystem::exists(bin)) {
    std::string specification;
    read_ctranslate2(bin, out, specification);
    if (specification != "WhisperSpec") {
      fail(ErrorCode::kModelUnsupported, bin.string(), " holds a ", specification,
           ", not a Whisper model");
    }
  } else {
    fail(ErrorCode::kModelNotFound, folder.string(),
         " holds no model.safetensors, model.safetensors.index.json or model.bin");
  }
  return out;
}

Checkpoint open_checkpoint_file(const std::filesystem::path& file) {
  std::string head;
  {
    const MappedFile mapped(file);
    head = mapped.text().substr(0, 16);
  }
  Checkpoint out;
  if (head.starts_with("PK")) {
    read_torch_pickle(file, out);
  } else if (is_legacy_torch(head)) {
    fail(ErrorCode::kModelUnsupported, file.string(),
         " is in the format of torch before 1.6: load it with torch and torch.save() it again");
  } else {
    read_safetensors(file, out);
  }
  return out;
}

}  // namespace voxpod
