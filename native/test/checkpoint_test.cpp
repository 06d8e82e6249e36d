#include "checkpoint/checkpoint.h"

#include <cstring>

#include "check.h"
#include "checkpoint/json.h"
#include "tiny_model.h"
#include "whisper/geometry.h"

namespace {

using namespace voxpod;
using namespace voxpod::test;

std::string with_header(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof(length));
  return out + header + data;
}

void read_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  write_file(folder.path() / "model.safetensors", bytes);
  open_checkpoint(folder.path());
}

void read_ct2_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  write_file(folder.path() / "model.bin", bytes);
  whisper::open(folder.path());
}

/// Every tensor that a Whisper needs, by value, must be equal within `tolerance`.
void expect_weights(const Checkpoint& checkpoint, double tolerance) {
  for (const auto& [name, expected] : tiny_weights()) {
    const std::string plain = name.substr(std::strlen("model."));
    EXPECT_LESS(relative_error(checkpoint.tensor(plain, expected.sizes()), expected), tolerance);
  }
}

}  // namespace

TEST(checkpoint_test, "JSON: values, escapes and errors") {
  const std::string what = "text";
  const Json json =
      Json::parse(R"( {"a":[1,-2.5e1,true,null],"b":"x\n\u00e9\ud83d\ude00","c":{}} )", what);
  EXPECT_EQUAL(*json.find("a")->array()->at(1).number(), -25.0);
  EXPECT(json.find("a")->array()->at(3).is_null());
  EXPECT_EQUAL(*json.find("b")->string(), std::string("x\n\xC3\xA9\xF0\x9F\x98\x80"));
  for (const char* bad : {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "\"\\u12\"", "\"\\ud800x\"", "1 2",
                          "nul", "\"a\nb\"", "1e999", "{1:2}"}) {
    EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, Json::parse(bad, what));
  }
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, Json::parse(std::string(100000, '['), what));
}

TEST(checkpoint_test, "safetensors: what was written is read") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path());
  const whisper::Source source = whisper::open(folder.path());
  EXPECT_EQUAL(source.geometry.vocabulary, 300);
  expect_weights(source.checkpoint, 1e-9);
  EXPECT_ERROR(ErrorCode::kModelInvalid, source.checkpoint.tensor("encoder.conv1.bias", {65}));
  EXPECT_ERROR(ErrorCode::kModelInvalid, source.checkpoint.tensor("nothing", {1}));
}

TEST(checkpoint_test, "alignment heads: stated in either file, those that are there, else half") {
  using Heads = std::vector<std::pair<int64_t, int64_t>>;
  const Heads upper = {{1, 0}, {1, 1}};
  const TemporaryFolder folder;
  write_tiny_model(folder.path());
  const auto heads = [&] { return whisper::open(folder.path()).geometry.alignment_heads; };
  EXPECT(heads() == upper);
  const auto generation = folder.path() / "generation_config.json";
  write_file(generation, R"({"alignment_heads":[[0,1],[1,0]]})");
  EXPECT(heads() == (Heads{{0, 1}, {1, 0}}));
  write_file(generation, R"({"alignment_heads":[[0,1],[7,0],[0,2],[0],"x",[-1,0]]})");
  EXPECT(heads() == (Heads{{0, 1}}));
  for (const char* none : {R"({"alignment_heads":[[7,0]]})", R"({"alignment_heads":null})", "{}"}) {
    write_file(generation, none);
    EXPECT(heads() == upper);
  }
  std::string config = tiny_config();
  config.insert(1, R"("alignment_heads":[[0,0]],)");
  write_file(folder.path() / "config.json", config);
  EXPECT(heads() == (Heads{{0, 0}}));
  write_file(generation, "{");
  EXPECT_ERROR(ErrorCode::kModelInvalid, heads());
}

TEST(checkpoint_test, "safetensors: shards by their index, which cannot lead out of the folder") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path());
  std::filesystem::rename(folder.path() / "model.safetensors", folder.path() / "one.safetensors");
  const auto index = folder.path() / "model.safetensors.index.json";
  write_file(index, R"({"weight_map":{"model.encoder.conv1.bias":"one.safetensors"}})");
  expect_weights(whisper::open(folder.path()).checkpoint, 1e-9);
  for (const char* bad : {R"({"weight_map":{"x":"../one.safetensors"}})",
                          R"({"weight_map":{"absent":"one.safetensors"}})", R"({})", "["}) {
    write_file(index, bad);
    EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, open_checkpoint(folder.path()));
  }
}

TEST(checkpoint_test, "safetensors: a cut or lying file is refused") {
  const std::string whole = safetensors(tiny_weights());
  for (const size_t length :
       {size_t{0}, size_t{5}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes(whole.substr(0, length)));
  }
  const std::string four(4, '\0');
  for (
      const char* header : {
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})",
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
          R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
          R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})",
          R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})",
          R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})",
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[9007199254740991,9007199254740995]}})",
          R"({"a":{"shape":[1],"data_offsets":[0,4]}})",
          R"({"a":7})",
          R"([])",
          R"({"a")",
      }) {
    EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes(with_header(header, four)));
  }
  std::string huge = with_header("{}");
  huge[7] = '\x7F';
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_bytes(huge));
}

TEST(checkpoint_test, "CTranslate2: float16 and int8 weights under Hugging Face names") {
  for (const bool int8 : {false, true}) {
    const TemporaryFolder folder;
    write_file(folder.path() / "model.bin", ctranslate2(tiny_weights(), tiny_geometry(), int8));
    const whisper::Source source = whisper::open(folder.path());
    EXPECT_EQUAL(source.geometry.encoder_heads, 2);
    EXPECT_EQUAL(source.geometry.text_context, 64);
    EXPECT_EQUAL(source.geometry.decoder_layers, 2);
    expect_weights(source.checkpoint, int8 ? 1e-2 : 1e-9);
  }
}

TEST(checkpoint_test, "CTranslate2: a cut or lying file is refused") {
  const std::string whole = ctranslate2(tiny_weights(), tiny_geometry(), false);
  for (size_t length = 1; length < whole.size(); length += whole.size() / 97) {
    EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_ct2_bytes(whole.substr(0, length)));
  }
  const size_t shape = whole.find("num_heads") + 10;
  std::string rank = whole;
  rank[shape] = '\xFF';
  EXPECT_ERROR(ErrorCode::kCheckpointCorrupt, read_ct2_bytes(rank));
  std::string version = whole;
  version[0] = 2;
  EXPECT_ERROR(ErrorCode::kModelUnsupported, read_ct2_bytes(version));
  std::string other = whole;
  other[6] = 'X';  // XhisperSpec
  EXPECT_ERROR(ErrorCode::kModelUnsupported, read_ct2_bytes(other));
}

TEST(checkpoint_test, "folders: nothing there, another architecture, geometry that does not fit") {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kModelNotFound, whisper::open(folder.path() / "absent"));
  EXPECT_ERROR(ErrorCode::kModelNotFound, whisper::open(folder.path()));
  write_tiny_model(folder.path());
  const auto config = folder.path() / "config.json";
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = tiny_config();
    text.replace(text.find(from), from.size(), to);
    write_file(config, text);
  };
  replaced("\"whisper\"", "\"llama\"");
  EXPECT_ERROR(ErrorCode::kModelUnsupported, whisper::open(folder.path()));
  replaced("\"d_model\":64", "\"d_model\":-1");
  EXPECT_ERROR(ErrorCode::kModelInvalid, whisper::open(folder.path()));
  replaced("\"encoder_attention_heads\":2", "\"encoder_attention_heads\":4");
  EXPECT_ERROR(ErrorCode::kModelUnsupported, whisper::open(folder.path()));
  std::filesystem::remove(config);
  EXPECT_ERROR(ErrorCode::kModelNotFound, whisper::open(folder.path()));
}
