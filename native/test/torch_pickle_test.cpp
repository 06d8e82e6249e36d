// The .pt files under fixtures/ are torch's own: fixtures/make_torch_save.py. Bad ones are made
// here.
#include "checkpoint/torch_pickle.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/scalar_tensor.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "check.h"
#include "checkpoint/zip_archive.h"
#include "tiny_model.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;
using std::string_literals::operator""s;

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(VOXPOD_FIXTURES) / name;
}

at::Tensor counted(std::vector<int64_t> shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return at::arange(count, at::kFloat).view(shape);
}

void expect_tensor(const Checkpoint& checkpoint, const std::string& name,
                   const at::Tensor& expected) {
  EXPECT(at::equal(checkpoint.tensor(name, expected.sizes()).to(at::kFloat), expected));
}

template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

struct Entry {
  std::string name;
  std::string data;
  uint16_t method = 0;
};

/// A ZIP file. With `wide`, sizes, offsets and the directory's place stand in their ZIP64 forms and
/// a descriptor follows each entry.
std::string zip(const std::vector<Entry>& entries, bool wide = false) {
  constexpr uint32_t kIn64 = 0xFFFFFFFF;
  std::string out;
  std::string directory;
  for (const Entry& entry : entries) {
    const uint64_t at = out.size();
    const auto size = static_cast<uint32_t>(entry.data.size());
    const std::string common = bytes_of<uint16_t>(wide ? 8 : 0) + bytes_of(entry.method) +
                               std::string(8, '\0') + bytes_of<uint32_t>(wide ? 0 : size) +
                               bytes_of<uint32_t>(wide ? 0 : size) +
                               bytes_of(static_cast<uint16_t>(entry.name.size()));
    out += "PK\x03\x04"s + bytes_of<uint16_t>(45) + common + bytes_of<uint16_t>(4) + entry.name +
           "\xFE\xCA\0\0"s + entry.data;
    if (wide)
      out += "PK\x07\x08"s + std::string(4, '\0') + bytes_of<uint64_t>(size) +
             bytes_of<uint64_t>(size);
    std::string record = "PK\x01\x02"s + bytes_of<uint16_t>(45) + bytes_of<uint16_t>(45) + common;
    const std::string extra = wide ? bytes_of<uint16_t>(1) + bytes_of<uint16_t>(24) +
                                         bytes_of<uint64_t>(size) + bytes_of<uint64_t>(size) +
                                         bytes_of(at)
                                   : "";
    if (wide) record.replace(20, 8, bytes_of(kIn64) + bytes_of(kIn64));
    record += bytes_of(static_cast<uint16_t>(extra.size())) + std::string(10, '\0') +
              bytes_of(wide ? kIn64 : static_cast<uint32_t>(at)) + entry.name + extra;
    directory += record;
  }
  const uint64_t at = out.size();
  out += directory;
  if (wide) {
    const uint64_t end = out.size();
    out += "PK\x06\x06"s + bytes_of<uint64_t>(44) + std::string(12, '\0') +
           bytes_of<uint64_t>(entries.size()) + bytes_of<uint64_t>(entries.size()) +
           bytes_of<uint64_t>(directory.size()) + bytes_of(at) + "PK\x06\x07"s +
           bytes_of<uint32_t>(0) + bytes_of(end) + bytes_of<uint32_t>(1);
  }
  const auto count = static_cast<uint16_t>(wide ? 0xFFFF : entries.size());
  return out + "PK\x05\x06"s + std::string(4, '\0') + bytes_of(count) + bytes_of(count) +
         bytes_of(wide ? kIn64 : static_cast<uint32_t>(directory.size())) +
         bytes_of(wide ? kIn64 : static_cast<uint32_t>(at)) + bytes_of<uint16_t>(0);
}

// Pieces of a pickle, named after the instructions.
std::string text(const std::string& value) {
  return "X"s + bytes_of(static_cast<uint32_t>(value.size())) + value;
}
std::string integer(int64_t value) { return "\x8a\x08"s + bytes_of(value); }
std::string global(const std::string& module, const std::string& name) {
  return "c"s + module + "\n" + name + "\n";
}
std::string storage(int64_t count, const std::string& key = "0",
                    const std::string& type = "FloatStorage") {
  return "("s + text("storage") + global("torch", type) + text(key) + text("cpu") + integer(count) +
         "tQ";
}
std::string tuple(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (const int64_t value : values) out += integer(value);
  return out + "t";
}
std::string value(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                  const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + integer(offset) +
         tuple(shape) + tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
/// {"a": tensor}
std::string tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  return "\x80\x02}"s + text("a") + value(storage, offset, shape, strides) + "s.";
}

/// A file in memory: thousands of them on a disk take half a minute.
struct MemoryFile {
  explicit MemoryFile(const std::string& bytes) : file(::memfd_create("test", MFD_CLOEXEC)) {
    if (::write(file, bytes.data(), bytes.size()) != std::ssize(bytes)) {
      throw std::runtime_error("cannot write a file in memory");
    }
  }
  ~MemoryFile() { ::close(file); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file); }
  int file;
};

Checkpoint read_bytes(const std::string& bytes) {
  const MemoryFile file(bytes);
  return open_checkpoint_file(file.path());
}

/// A file with this pickle and one storage of eight floats 0, 1, ...
std::string file_with(const std::string& pickle, bool wide = false) {
  const at::Tensor numbers = counted({8});
  return zip({{"x/data.pkl", pickle},
              {"x/byteorder", "little"},
              {"x/data/0", std::string(static_cast<const char*>(numbers.const_data_ptr()), 32)}},
             wide);
}

std::string message_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(torch_pickle_test, "a training run's file: nested names, the rest left out") {
  const Checkpoint checkpoint = open_checkpoint_file(fixture("training.pt"));
  for (const std::string prefix : {"ema_model_state_dict.ema_model.", "module."}) {
    expect_tensor(checkpoint, prefix + "0.weight", counted({2, 3}));
    expect_tensor(checkpoint, prefix + "1.bias", counted({2}));
  }
  expect_tensor(checkpoint, "optimizer_state_dict.state.0.exp_avg", counted({2, 3}));
  const StoredTensor& step = checkpoint.at("ema_model_state_dict.step");
  EXPECT(step.dtype == at::kLong && step.shape.empty());
  int64_t value = 0;
  std::memcpy(&value, step.data, sizeof(value));
  EXPECT_EQUAL(value, 1250000);
  EXPECT(checkpoint.at("ema_model_state_dict.initted").dtype == at::kBool);
  EXPECT_EQUAL(checkpoint.tensors().size(), size_t{12});
}

TEST(torch_pickle_test, "types, views, strides; protocols 2 and 4") {
  for (const char* name : {"tensors.pt", "tensors_protocol_4.pt"}) {
    const Checkpoint checkpoint = open_checkpoint_file(fixture(name));
    for (const char* plain : {"half", "bfloat16"}) {
      expect_tensor(checkpoint, plain, counted({5}));
    }
    EXPECT(checkpoint.at("double").dtype == at::kDouble);
    EXPECT_EQUAL(checkpoint.at("bytes").bytes(), size_t{9});
    expect_tensor(checkpoint, "parameter", counted({3}));
    expect_tensor(checkpoint, "scalar", at::scalar_tensor(2.5));
    EXPECT_EQUAL(checkpoint.at("empty").shape.at(1), 4);
    const at::Tensor base = counted({4, 6});
    expect_tensor(checkpoint, "part", base.narrow(0, 1, 2));
    expect_tensor(checkpoint, "columns", base.narrow(1, 2, 2));
    expect_tensor(checkpoint, "transposed", base.t());
    expect_tensor(checkpoint, "one_row", base.narrow(0, 2, 1).t());
    EXPECT(!checkpoint.contains("shape"));
    checkpoint.release("part");
    expect_tensor(checkpoint, "part", base.narrow(0, 1, 2));
  }
}

TEST(torch_pickle_test, "the content tells the format") {
  const TemporaryFolder folder;
  write_file(folder.path() / "weights.bin", safetensors({{"a", counted({3})}}));
  expect_tensor(open_checkpoint_file(folder.path() / "weights.bin"), "a", counted({3}));
  EXPECT_ERROR(ErrorCode::kModelUnsupported, open_checkpoint_file(fixture("legacy.pt")));
  EXPECT_ERROR(ErrorCode::kModelUnsupported, open_checkpoint_file(fixture("program.pt")));
  EXPECT_ERROR(ErrorCode::kModelUnsupported, open_checkpoint_file(fixture("repeated.pt")));
  EXPECT_ERROR(ErrorCode::kModelNotFound, open_checkpoint_file(folder.path() / "absent.pt"));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, open_checkpoint_file(folder.path()));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes("version https://git-lfs.example"));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes("P"));
}

TEST(torch_pickle_test, "ZIP64 and data descriptors") {
  const std::string pickle = tensor(storage(8), 2, {2, 3}, {3, 1});
  for (const bool wide : {false, true}) {
    const Checkpoint checkpoint = read_bytes(file_with(pickle, wide));
    expect_tensor(checkpoint, "a", counted({8}).narrow(0, 2, 6).view({2, 3}));
    const std::string whole = file_with(pickle, wide);
    for (size_t length = 2; length < whole.size(); ++length) {
      EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes(whole.substr(0, length)));
    }
  }
}

TEST(torch_pickle_test, "nothing in a file is run: what it names is refused by name") {
  const std::string system = "\x80\x02"s + global("os", "system") + text("exit 1") + "\x85R.";
  EXPECT_ERROR(ErrorCode::kModelInvalid, read_bytes(file_with(system)));
  EXPECT(message_of([&] { read_bytes(file_with(system)); }).find("os.system") != std::string::npos);
  EXPECT(message_of([] { open_checkpoint_file(fixture("device.pt")); }).find("torch.device") !=
         std::string::npos);
  for (const std::string& pickle : {
           "cposix\nsystem\n."s,
           global("builtins", "eval") + ".",
           global("torch", "load") + ".",
           global("torch", "QInt8Storage") + ".",
           global("torch._utils", "_rebuild_tensor") + ".",
           text("os") + text("system") + "\x93.",
           "\x8c\x02os\x8c\x06system\x93."s,
           "(S'echo'\nios\nsystem\n."s,                         // INST
           "("s + global("collections", "OrderedDict") + "o.",  // OBJ
           global("collections", "OrderedDict") + ")\x81.",     // NEWOBJ
           global("collections", "OrderedDict") + ")}\x92.",    // NEWOBJ_EX
           "\x82\x01."s,                                        // EXT1
           "I1\n."s,
           "P1\n."s,
           "\x8f."s,
           "}}b]}b."s,  // a list's attributes
           storage(8) + "}b.",
           "})}s."s,  // a tuple as a key
           value(storage(8), 0, {2}, {1}) + ".",
       }) {
    const auto code = error_of([&] { read_bytes(file_with(pickle)); });
    EXPECT(code == ErrorCode::kModelInvalid);
  }
}

TEST(torch_pickle_test, "lying tensors and storages are refused") {
  constexpr int64_t kHuge = int64_t{1} << 62;
  const auto refused = [](const std::string& pickle) {
    const auto code = error_of([&] { read_bytes(file_with(pickle)); });
    EXPECT(code == ErrorCode::kCheckpointCorrupt || code == ErrorCode::kModelUnsupported);
  };
  read_bytes(file_with(tensor(storage(8), 0, {8}, {1})));
  read_bytes(file_with(tensor(storage(8), 8, {0}, {1})));
  read_bytes(file_with(tensor(storage(8), 7, {}, {})));
  for (const std::string& bad :
       {storage(9), storage(-1), storage(kHuge), storage(5, "0", "DoubleStorage"), storage(8, "1"),
        storage(8, "../data.pkl"), text("0") + "Q", "}Q"s}) {
    refused(tensor(bad, 0, {1}, {1}));
  }
  refused(tensor(storage(8), 0, {9}, {1}));
  refused(tensor(storage(8), 1, {8}, {1}));
  refused(tensor(storage(8), -1, {2}, {1}));
  refused(tensor(storage(8), 0, {2, 4}, {5, 1}));
  refused(tensor(storage(8), 0, {-1}, {1}));
  refused(tensor(storage(8), 0, {2}, {-1}));
  refused(tensor(storage(8), 0, {2}, {}));
  refused(tensor(storage(8), 8, {}, {}));
  refused(tensor(storage(8), 9, {0}, {1}));
  refused(tensor(storage(8), kHuge, {kHuge}, {kHuge}));
  refused(tensor(storage(8), 0, {kHuge, 4}, {0, 0}));
  refused(tensor(storage(8), 0, {kHuge / 2}, {0}));
  refused(tensor(storage(8), 0, {1 << 20}, {0}));
  refused(tensor(storage(8), 0, {2}, {kHuge}));
  refused(tensor(storage(8), 0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)));
}

TEST(torch_pickle_test, "broken pickles are refused: cut short, loops, huge counts") {
  const std::string whole = tensor(storage(8), 0, {2}, {1});
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto code = error_of([&] { read_bytes(file_with(whole.substr(0, length))); });
    EXPECT(code == ErrorCode::kCheckpointCorrupt || code == ErrorCode::kModelInvalid);
  }
  // Any one byte changed gives an error or other numbers, never anything else.
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned char byte : {0x00, 0x28, 0x65, 0x71, 0x7f, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(byte);
      const auto code = error_of([&] { read_bytes(file_with(changed)); });
      EXPECT(!code || code == ErrorCode::kCheckpointCorrupt || code == ErrorCode::kModelInvalid ||
             code == ErrorCode::kModelUnsupported);
    }
  }
  std::string bomb = "}q\0";  // each dict holds the last one twice
  bomb = "\x80\x02}q"s + '\0';
  for (int i = 0; i < 60; ++i)
    bomb += "}("s + text("a") + "h" + '\0' + text("b") + "h" + '\0' + "uq" + '\0';
  const std::string deep(5'000'000, '(');
  std::string lists(1'000'000, ']');
  for (const std::string& pickle : {"."s,
                                    "e."s,
                                    "t."s,
                                    "(("s,
                                    "s."s,
                                    "}Ns."s,
                                    "}(Nu."s,
                                    "]s."s,
                                    "}a."s,
                                    "(a."s,
                                    "(R."s,
                                    "h\x05."s,
                                    "j\xff\xff\xff\xff."s,
                                    "q\x01."s,
                                    "\x80\x06."s,
                                    "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."s,
                                    "X\xff\xff\xff\xff."s,
                                    "\x8a\xff."s,
                                    "Q."s,
                                    "NNR."s,
                                    "NN\x93"s,
                                    "cos"s,
                                    "}q\x01"s + text("a") + "h\x01s.",  // a dict in itself
                                    "]q\x01h\x01"
                                    "a."s,  // a list in itself
                                    bomb + ".",
                                    deep + ".",
                                    lists + std::string(999'999, 'a') + ".",
                                    std::string(17 << 20, 'N') + ".",
                                    "}"s + text(std::string(2000, 'n')) + "}" + text("a") +
                                        value(storage(8), 0, {2}, {1}) + "ss.",
                                    storage(8) + ")R.",
                                    global("torch", "Size") + ")R.",
                                    global("torch", "Size") + "NR.",
                                    global("torch._utils", "_rebuild_tensor_v2") + ")R.",
                                    global("torch._utils", "_rebuild_parameter") + "(NNNtR.",
                                    global("collections", "OrderedDict") + "N\x85R."}) {
    const auto code = error_of([&] { read_bytes(file_with(pickle)); });
    EXPECT(code == ErrorCode::kCheckpointCorrupt || code == ErrorCode::kModelInvalid);
  }
  // Plain values without any tensor are no mistake of the file's.
  EXPECT(read_bytes(file_with("\x80\x02N."s)).tensors().empty());
}

TEST(torch_pickle_test, "lying archives are refused") {
  const std::string pickle = tensor(storage(8), 0, {2}, {1});
  EXPECT_ERROR(ErrorCode::kModelInvalid, read_bytes(zip({{"a.txt", "x"}})));
  EXPECT_ERROR(ErrorCode::kModelInvalid, read_bytes(zip({})));
  EXPECT_ERROR(ErrorCode::kModelInvalid, read_bytes(zip({{"a/b/data.pkl", pickle}})));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes(zip({{"x/data.pkl", pickle}})));
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt,
               read_bytes(zip({{"x/data.pkl", pickle}, {"x/data.pkl", pickle}})));
  EXPECT_ERROR(ErrorCode::kModelUnsupported, read_bytes(zip({{"x/data.pkl", pickle, 8}})));
  EXPECT_ERROR(ErrorCode::kModelUnsupported,
               read_bytes(zip({{"x/data.pkl", pickle}, {"x/byteorder", "big"}})));
  for (const bool wide : {false, true}) {
    const std::string whole = file_with(pickle, wide);
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const unsigned char byte : {0x00, 0x01, 0x7f, 0xff}) {
        std::string changed = whole;
        changed[at] = static_cast<char>(byte);
        const auto code = error_of([&] { read_bytes(changed); });
        EXPECT(!code || code == ErrorCode::kCheckpointCorrupt || code == ErrorCode::kModelInvalid ||
               code == ErrorCode::kModelUnsupported);
      }
    }
  }
}
