// What torch.save() writes (torch/serialization.py, _save): a ZIP with one folder that holds
// data.pkl, a pickle in which storages stand as persistent ids ("storage", type, key, device,
// numbers), and under data/ a file for each key. Tensors are calls of torch/_utils.py's
// _rebuild_tensor_v2(storage, offset, sizes, strides, ...), counted in numbers.
#include "checkpoint/torch_pickle.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "checkpoint/pickle.h"
#include "checkpoint/zip_archive.h"
#include "error.h"

namespace voxpod {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxRank = 64;  // of ATen's tensors
constexpr int kMaxDepth = 64;
constexpr size_t kMaxName = 1024;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxVisits = 2'000'000;

enum Function : int64_t { kRebuildTensor, kRebuildParameter, kOrderedDict, kSize, kFunctions };

std::optional<at::ScalarType> storage_type(std::string_view name) {
  static constexpr std::pair<std::string_view, at::ScalarType> kTypes[] = {
      {"FloatStorage", at::kFloat},       {"HalfStorage", at::kHalf},
      {"BFloat16Storage", at::kBFloat16}, {"DoubleStorage", at::kDouble},
      {"LongStorage", at::kLong},         {"IntStorage", at::kInt},
      {"ShortStorage", at::kShort},       {"CharStorage", at::kChar},
      {"ByteStorage", at::kByte},         {"BoolStorage", at::kBool},
  };
  for (const auto& [type, value] : kTypes) {
    if (type == name) return value;
  }
  return std::nullopt;
}

struct Storage {
  at::ScalarType type = at::kFloat;
  const std::byte* data = nullptr;
  int64_t count = 0;
};

/// A tensor as the pickle describes it: numbers `strides` apart, from `data` on.
struct StridedTensor {
  StoredTensor tensor = {};
  std::vector<int64_t> strides = {};
};

/// The functions, storage types, storages and tensors that a pickle comes to name. Their numbers:
/// functions first, then types, each at kTypes plus its ScalarType, then what was made.
class Host : public PickleHost {
 public:
  Host(const ZipArchive& archive, std::string folder, const std::string& where)
      : archive_(archive), folder_(std::move(folder)), where_(where) {}

  PickleValue global(std::string_view module, std::string_view name) override {
    const auto is = [&](const char* a, const char* b) { return module == a && name == b; };
    if (is("torch._utils", "_rebuild_tensor_v2")) return host(kRebuildTensor);
    if (is("torch._utils", "_rebuild_parameter")) return host(kRebuildParameter);
    if (is("collections", "OrderedDict")) return host(kOrderedDict);
    if (is("torch", "Size")) return host(kSize);
    if (module == "torch") {
      if (const auto type = storage_type(name)) return host(kTypes + static_cast<int64_t>(*type));
    }
    fail(ErrorCode::kModelInvalid, where_, " wants Python to load ", printable(module), ".",
         printable(name), ", which is no part of a plain tensor: it was not run");
  }

  PickleValue persistent(const PickleValue& id) override {
    const auto parts = id.sequence(5);
    if (parts.empty() || parts[0]->text != "storage" || !is_type(*parts[1]) ||
        parts[2]->kind != Kind::kText || parts[4]->kind != Kind::kInteger) {
      stop("has a storage of an unknown form");
    }
    Storage out = {.type = static_cast<at::ScalarType>(parts[1]->integer - kTypes),
                   .count = parts[4]->integer};
    const std::string key(parts[2]->text);
    const auto entry = archive_.entries().find(folder_ + "data/" + key);
    if (entry == archive_.entries().end()) stop("lacks the storage ", printable(key));
    const auto available = entry->second.size() / c10::elementSize(out.type);
    if (out.count < 0 || static_cast<uint64_t>(out.count) > available) {
      stop("claims ", out.count, " numbers in storage ", printable(key), ", which holds ",
           available);
    }
    out.data = entry->second.data();
    storages_.push_back(out);
    return host(kStorages + static_cast<int64_t>(storages_.size()) - 1);
  }

  PickleValue call(const PickleValue& callee, const PickleValue& arguments) override {
    if (callee.kind != Kind::kHost || callee.integer >= kFunctions ||
        arguments.kind != Kind::kTuple) {
      stop("calls what is no function");
    }
    const auto& given = arguments.items;
    switch (callee.integer) {
      case kRebuildTensor:
        if (given.size() == 6 || given.size() == 7) return rebuild(given);
        break;
      case kRebuildParameter:
        if (given.size() == 3 && tensor(*given[0])) return host(given[0]->integer);
        break;
      case kOrderedDict:
        if (given.empty()) return {.kind = Kind::kDict};
        break;
      case kSize:
        if (given.size() == 1 && given[0]->kind == Kind::kTuple &&
            given[0]->items.size() <= kMaxRank) {
          return *given[0];
        }
        break;
    }
    stop("calls a function with other arguments than torch.save() writes");
  }

  void set_state(const PickleValue& object, const PickleValue& state) override {
    // A state_dict carries the versions of its modules so, which do not matter here.
    if (object.kind == Kind::kDict && state.kind == Kind::kDict) return;
    fail(ErrorCode::kModelInvalid, where_, " sets attributes of something other than a state_dict");
  }

  const StridedTensor* tensor(const PickleValue& value) const {
    if (value.kind != Kind::kHost || value.integer < kTensors) return nullptr;
    return &tensors_[static_cast<size_t>(value.integer - kTensors)];
  }

 private:
  static constexpr int64_t kTypes = 1000;
  static constexpr int64_t kStorages = 2000;
  static constexpr int64_t kTensors = int64_t{1} << 32;

  template <typename... Why>
  [[noreturn]] void stop(const Why&... why) const {
    fail(ErrorCode::kCheckpointCorrupt, where_, " ", why...);
  }

  static PickleValue host(int64_t number) { return {.kind = Kind::kHost, .integer = number}; }

  static bool is_type(const PickleValue& value) {
    return value.kind == Kind::kHost && value.integer >= kTypes && value.integer < kStorages;
  }

  std::vector<int64_t> numbers(const PickleValue& value, const char* what) const {
    std::vector<int64_t> out;
    if (value.kind != Kind::kTuple || value.items.size() > kMaxRank)
      stop("has a tensor without ", what);
    for (const PickleValue* item : value.items) {
      if (item->kind != Kind::kInteger || item->integer < 0) stop("has a tensor without ", what);
      out.push_back(item->integer);
    }
    return out;
  }

  PickleValue rebuild(const std::vector<const PickleValue*>& given) {
    const PickleValue& from = *given[0];
    if (from.kind != Kind::kHost || from.integer < kStorages || from.integer >= kTensors ||
        given[1]->kind != Kind::kInteger) {
      stop("has a tensor without a storage");
    }
    const Storage& storage = storages_[static_cast<size_t>(from.integer - kStorages)];
    StridedTensor out;
    out.tensor.dtype = storage.type;
    out.tensor.shape = numbers(*given[2], "a shape");
    out.strides = numbers(*given[3], "strides");
    const auto& shape = out.tensor.shape;
    if (out.strides.size() != shape.size()) stop("has a tensor without strides");
    const int64_t offset = given[1]->integer;
    // The place behind the last number; an empty tensor has none.
    int64_t end = offset;
    int64_t count = 1;
    bool fits = offset >= 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      int64_t reach = 0;
      fits = fits && !__builtin_mul_overflow(count, shape[i], &count) &&
             !__builtin_mul_overflow(std::max<int64_t>(shape[i], 1) - 1, out.strides[i], &reach) &&
             !__builtin_add_overflow(end, reach, &end);
    }
    // Strides of zero let few numbers fill any shape: what follows counts its bytes.
    fits = fits && count <= std::numeric_limits<int64_t>::max() / 16;
    const int64_t last = storage.count - (count > 0 ? 1 : 0);
    if (!fits || (count > 0 ? end : offset) > last) {
      stop("has a tensor that reaches outside of its storage");
    }
    out.tensor.data = storage.data + static_cast<size_t>(offset) * c10::elementSize(storage.type);
    tensors_.push_back(std::move(out));
    return host(kTensors + static_cast<int64_t>(tensors_.size()) - 1);
  }

  const ZipArchive& archive_;
  const std::string folder_;
  const std::string& where_;
  std::vector<Storage> storages_;
  std::vector<StridedTensor> tensors_;
};

bool is_row_after_row(const StridedTensor& strided) {
  int64_t expected = 1;
  const auto& shape = strided.tensor.shape;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strided.strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

/// Adds the tensors of a tree of containers under their names.
class Flattener {
 public:
  Flattener(const Host& host, const std::string& where, size_t file_size, Checkpoint& out)
      : host_(host), where_(where), copies_left_(file_size), out_(out) {}

  void visit(const PickleValue& value, const std::string& name, int depth) {
    if (++visits_ > kMaxVisits || depth > kMaxDepth) {
      stop("nests its containers too deeply or in themselves");
    }
    if (value.kind == Kind::kDict) {
      for (size_t i = 0; i < value.items.size(); i += 2) {
        visit(*value.items[i + 1], below(name, key_of(*value.items[i])), depth + 1);
      }
    } else if (value.kind == Kind::kList || value.kind == Kind::kTuple) {
      for (size_t i = 0; i < value.items.size(); ++i) {
        visit(*value.items[i], below(name, std::to_string(i)), depth + 1);
      }
    } else if (const StridedTensor* tensor = host_.tensor(value)) {
      add(name, *tensor);
    }
  }

 private:
  template <typename... Why>
  [[noreturn]] void stop(const Why&... why) const {
    fail(ErrorCode::kCheckpointCorrupt, where_, " ", why...);
  }

  std::string key_of(const PickleValue& key) const {
    if (key.kind == Kind::kText) return std::string(key.text.substr(0, kMaxName + 1));
    if (key.kind == Kind::kInteger) return std::to_string(key.integer);
    fail(ErrorCode::kModelInvalid, where_, " has a key that is neither text nor an integer");
  }

  std::string below(const std::string& name, const std::string& key) const {
    if (name.size() + key.size() + 1 > kMaxName)
      stop("has a name of more than ", kMaxName, " bytes");
    return name.empty() ? key : name + "." + key;
  }

  void add(const std::string& name, const StridedTensor& strided) {
    if (name.empty()) fail(ErrorCode::kModelInvalid, where_, " holds a tensor without a name");
    if (out_.contains(name)) stop("holds ", printable(name), " twice");
    if (out_.tensors().size() == kMaxTensors) stop("holds more than ", kMaxTensors, " tensors");
    StoredTensor tensor = strided.tensor;
    if (!is_row_after_row(strided)) {
      // Strides of zero would let a short file claim any amount of memory.
      if (tensor.bytes() > copies_left_) {
        fail(ErrorCode::kModelUnsupported, where_, ": ", printable(name),
             " repeats its numbers by its strides: save it with contiguous()");
      }
      copies_left_ -= tensor.bytes();
      tensor.data = copy(name, strided);
    }
    out_.add(name, std::move(tensor));
  }

  const std::byte* copy(const std::string& name, const StridedTensor& strided) {
    const c10::InferenceMode inference;
    const StoredTensor& tensor = strided.tensor;
    if (reinterpret_cast<uintptr_t>(tensor.data) % c10::elementSize(tensor.dtype) != 0) {
      stop("holds ", printable(name), " unaligned, as torch.save() does not");
    }
    at::Tensor rows = at::from_blob(const_cast<std::byte*>(tensor.data), tensor.shape,
                                    strided.strides, at::TensorOptions(tensor.dtype))
                          .contiguous();
    out_.keep(rows);
    return static_cast<const std::byte*>(rows.const_data_ptr());
  }

  const Host& host_;
  const std::string& where_;
  size_t copies_left_;
  size_t visits_ = 0;
  Checkpoint& out_;
};

}  // namespace

void read_torch_pickle(const std::filesystem::path& path, Checkpoint& out) {
  const auto file = std::make_shared<const MappedFile>(path);
  const std::string where = path.string();
  const ZipArchive archive({file->data(), file->size()}, where);
  static constexpr std::string_view kPickle = "/data.pkl";
  const auto& entries = archive.entries();
  const auto pickle = std::find_if(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.first.ends_with(kPickle) &&
           entry.first.find('/') + kPickle.size() == entry.first.size();
  });
  if (pickle == entries.end()) {
    fail(ErrorCode::kModelInvalid, where, " is a ZIP file, but none that torch.save() wrote");
  }
  const std::string folder = pickle->first.substr(0, pickle->first.size() - kPickle.size() + 1);
  if (entries.contains(folder + "constants.pkl")) {
    fail(ErrorCode::kModelUnsupported, where,
         " is a TorchScript program; save the model's state_dict instead");
  }
  const auto order = entries.find(folder + "byteorder");
  if (order != entries.end() &&
      std::string_view(reinterpret_cast<const char*>(order->second.data()), order->second.size()) !=
          "little") {
    fail(ErrorCode::kModelUnsupported, where, " was written on a big-endian machine");
  }
  Host host(archive, folder, where);
  const PickleTree tree = read_pickle(pickle->second, where, host);
  Flattener(host, where, file->size(), out).visit(*tree.root, "", 0);
  out.keep(file);
}

bool is_legacy_torch(std::string_view head) {
  // Protocol 2 and the long integer 0x1950a86a20f9469cfc6c (torch/serialization.py, MAGIC_NUMBER).
  static constexpr std::string_view kMagic =
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  return head.starts_with(kMagic);
}

}  // namespace voxpod
