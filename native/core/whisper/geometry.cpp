#include "whisper/geometry.h"

#include <cstring>
#include <string>

#include "checkpoint/json.h"
#include "error.h"
#include "kernels/cpu/kernels.h"

namespace voxpod::whisper {
namespace {

// Far above any model; keeps a lying configuration from asking for absurd memory.
constexpr int64_t kMaxDimension = 1 << 20;

int64_t integer(const Json& config, const std::string& where, const char* name) {
  const Json* value = config.find(name);
  int64_t out = 0;
  if (!value || !value->to_integer(out) || out < 1 || out > kMaxDimension) {
    fail(ErrorCode::kModelInvalid, where, " has no usable ", name);
  }
  return out;
}

Geometry from_config(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string where = path.string();
  const Json config = Json::parse(file.text(), where);
  const Json* type = config.find("model_type");
  if (!type || !type->string() || *type->string() != "whisper") {
    fail(ErrorCode::kModelUnsupported, where, " describes a model of type ",
         type && type->string() ? *type->string() : "unknown", ", not whisper");
  }
  return {
      .mels = integer(config, where, "num_mel_bins"),
      .audio_context = integer(config, where, "max_source_positions"),
      .text_context = integer(config, where, "max_target_positions"),
      .width = integer(config, where, "d_model"),
      .encoder_heads = integer(config, where, "encoder_attention_heads"),
      .decoder_heads = integer(config, where, "decoder_attention_heads"),
      .encoder_layers = integer(config, where, "encoder_layers"),
      .decoder_layers = integer(config, where, "decoder_layers"),
      .encoder_inner = integer(config, where, "encoder_ffn_dim"),
      .decoder_inner = integer(config, where, "decoder_ffn_dim"),
      .vocabulary = integer(config, where, "vocab_size"),
  };
}

int64_t dimension(const Checkpoint& checkpoint, const std::string& name, size_t index) {
  const auto& shape = checkpoint.at(name).shape;
  if (index >= shape.size()) fail(ErrorCode::kModelInvalid, name, " has too few dimensions");
  return shape[index];
}

int64_t layers(const Checkpoint& checkpoint, const std::string& side) {
  int64_t count = 0;
  while (checkpoint.contains(side + ".layers." + std::to_string(count) + ".fc1.weight")) ++count;
  return count;
}

/// CTranslate2 stores the number of heads as a scalar; every published Whisper has heads of 64.
int64_t heads(const Checkpoint& checkpoint, const std::string& side, int64_t width) {
  const std::string name = side + "/num_heads";
  if (!checkpoint.contains(name)) return width / 64;
  const StoredTensor& stored = checkpoint.at(name);
  int64_t value = 0;
  std::memcpy(&value, stored.data, std::min(stored.bytes(), sizeof(value)));
  return value;
}

Geometry from_tensors(const Checkpoint& checkpoint) {
  Geometry out;
  out.width = dimension(checkpoint, "encoder.conv1.weight", 0);
  out.mels = dimension(checkpoint, "encoder.conv1.weight", 1);
  out.audio_context = dimension(checkpoint, "encoder.embed_positions.weight", 0);
  out.text_context = dimension(checkpoint, "decoder.embed_positions.weight", 0);
  out.vocabulary = dimension(checkpoint, "decoder.embed_tokens.weight", 0);
  out.encoder_layers = layers(checkpoint, "encoder");
  out.decoder_layers = layers(checkpoint, "decoder");
  out.encoder_inner = dimension(checkpoint, "encoder.layers.0.fc1.weight", 0);
  out.decoder_inner = dimension(checkpoint, "decoder.layers.0.fc1.weight", 0);
  out.encoder_heads = heads(checkpoint, "encoder", out.width);
  out.decoder_heads = heads(checkpoint, "decoder", out.width);
  return out;
}

Json parse_config(const std::filesystem::path& path) {
  try {
    const MappedFile file(path);
    return Json::parse(file.text(), path.string());
  } catch (const Error& error) {
    fail(ErrorCode::kModelInvalid, error.what());
  }
}

/// `alignment_heads` of generation_config.json, or of config.json where CTranslate2's converter
/// puts it: pairs of layer and head. Those the decoder does not have are left out: distilled models
/// carry their teacher's.
std::vector<std::pair<int64_t, int64_t>> alignment_heads(const std::filesystem::path& folder,
                                                         const Geometry& geometry) {
  std::vector<std::pair<int64_t, int64_t>> heads;
  for (const char* name : {"generation_config.json", "config.json"}) {
    const auto path = folder / name;
    if (!std::filesystem::exists(path)) continue;
    const Json config = parse_config(path);
    const Json* list = config.find("alignment_heads");
    if (!list || !list->array()) continue;
    for (const Json& pair : *list->array()) {
      int64_t layer = 0;
      int64_t head = 0;
      if (pair.array() && pair.array()->size() == 2 && (*pair.array())[0].to_integer(layer) &&
          (*pair.array())[1].to_integer(head) && layer < geometry.decoder_layers &&
          head < geometry.decoder_heads) {
        heads.emplace_back(layer, head);
      }
    }
    if (!heads.empty()) return heads;
  }
  // As openai-whisper does for models it knows no heads of: all of the upper half of the layers.
  for (int64_t layer = geometry.decoder_layers / 2; layer < geometry.decoder_layers; ++layer) {
    for (int64_t head = 0; head < geometry.decoder_heads; ++head) heads.emplace_back(layer, head);
  }
  return heads;
}

void check(const Geometry& g, const std::string& where) {
  for (const int64_t heads : {g.encoder_heads, g.decoder_heads}) {
    if (heads < 1 || g.width % heads != 0 || g.width / heads % cpu::kBlock != 0) {
      fail(ErrorCode::kModelUnsupported, where, " has ", heads, " heads for a width of ", g.width,
           ": the size of a head must be a multiple of ", cpu::kBlock);
    }
  }
  if (g.audio_context * 2 != kWindowFrames) {
    fail(ErrorCode::kModelUnsupported, where, " has an audio context of ", g.audio_context,
         " where windows of 30 s need ", kWindowFrames / 2);
  }
}

/// The same tensors without the prefix "model."
Checkpoint strip_prefix(Checkpoint checkpoint) {
  static constexpr std::string_view kPrefix = "model.";
  std::vector<std::pair<std::string, StoredTensor>> found;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (name.starts_with(kPrefix)) found.emplace_back(name.substr(kPrefix.size()), tensor);
  }
  for (auto& [name, tensor] : found) checkpoint.add(std::move(name), std::move(tensor));
  return checkpoint;
}

}  // namespace

Source open(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) {
    fail(ErrorCode::kModelNotFound, folder.string(), " is no folder");
  }
  Source source;
  source.checkpoint = open_checkpoint(folder);
  if (source.checkpoint.contains("encoder/conv1/weight")) {
    add_hugging_face_names(source.checkpoint);
    source.geometry = from_tensors(source.checkpoint);
  } else {
    const auto config = folder / "config.json";
    if (!std::filesystem::exists(config)) {
      fail(ErrorCode::kModelNotFound, folder.string(), " holds no config.json");
    }
    source.geometry = from_config(config);
    source.checkpoint = strip_prefix(std::move(source.checkpoint));
  }
  check(source.geometry, folder.string());
  source.geometry.alignment_heads = alignment_heads(folder, source.geometry);
  return source;
}

}  // namespace voxpod::whisper
