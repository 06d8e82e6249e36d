#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/mapped_file.h"

namespace voxpod {

/// Where one tensor lies in a mapped file. `data` may be unaligned.
struct StoredTensor {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  /// int8 only: shape[0] floats (maybe unaligned); a value is its integer divided by its row's
  /// scale.
  const std::byte* row_scale = nullptr;

  size_t bytes() const;
};

/// The tensors of a model's files by name. Nothing is read before it is asked for.
class Checkpoint {
 public:
  /// Adds the tensors of a file that `file` keeps mapped.
  void add(std::string name, StoredTensor tensor);
  /// Forgets all names; the files stay mapped.
  void clear() { tensors_.clear(); }
  void keep(std::shared_ptr<const MappedFile> file) { files_.push_back(std::move(file)); }
  /// Keeps memory that tensors of a file had to be copied to.
  void keep(at::Tensor memory) { copies_.push_back(std::move(memory)); }

  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  /// Throws kModelInvalid where there is no such tensor.
  const StoredTensor& at(std::string_view name) const;
  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }

  /// A read-only CPU view of the stored bytes (float32, float16 or bfloat16; int8 comes dequantised
  /// as float32), valid while the checkpoint lives. Throws kModelInvalid where it is absent, of
  /// another shape or of a type that holds no weights.
  at::Tensor tensor(std::string_view name, at::IntArrayRef shape) const;

  /// Gives a tensor's pages back once its values have been placed elsewhere.
  void release(std::string_view name) const;

 private:
  std::map<std::string, StoredTensor, std::less<>> tensors_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<at::Tensor> copies_;
};

/// Opens a folder's `model.safetensors`, sharded `model.safetensors.index.json` or CTranslate2
/// `model.bin`, in this order. Throws kModelNotFound where there is none of them.
Checkpoint open_checkpoint(const std::filesystem::path& folder);

/// Opens one file, whose content tells the format: safetensors or what torch.save() writes. Throws
/// kModelNotFound where it cannot be opened and what the readers below throw.
Checkpoint open_checkpoint_file(const std::filesystem::path& file);

/// The formats. Each throws kCheckpointCorrupt, saying what is wrong, for a file that is cut short
/// or whose header lies.
void read_safetensors(const std::filesystem::path& path, Checkpoint& out);
/// `specification` gets the name of the architecture, "WhisperSpec".
void read_ctranslate2(const std::filesystem::path& path, Checkpoint& out,
                      std::string& specification);

}  // namespace voxpod
