#include "f5/geometry.h"

#include <array>
#include <string>
#include <string_view>

#include "error.h"

namespace voxpod::f5 {
namespace {

/// A checkpoint of training holds the averaged weights and the plain ones; the first found counts.
constexpr std::array<std::string_view, 2> kWrappers = {"ema_model_state_dict.",
                                                       "model_state_dict."};

/// The name of a backbone's part, or nothing. utils_infer.load_checkpoint deletes "ema_model."
/// wherever it stands.
std::string plain_name(std::string name, std::string_view wrapper) {
  if (!name.starts_with(wrapper)) return "";
  name.erase(0, wrapper.size());
  constexpr std::string_view kAverage = "ema_model.";
  for (size_t at = name.find(kAverage); at != std::string::npos; at = name.find(kAverage)) {
    name.erase(at, kAverage.size());
  }
  constexpr std::string_view kBackbone = "transformer.";
  if (!name.starts_with(kBackbone)) return "";
  return name.substr(kBackbone.size());
}

Checkpoint rename(const Checkpoint& checkpoint) {
  std::string_view wrapper;
  for (const std::string_view candidate : kWrappers) {
    const auto it = checkpoint.tensors().lower_bound(candidate);
    if (it != checkpoint.tensors().end() && it->first.starts_with(candidate)) {
      wrapper = candidate;
      break;
    }
  }
  Checkpoint out = checkpoint;
  out.clear();
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (std::string plain = plain_name(name, wrapper); !plain.empty()) {
      out.add(std::move(plain), tensor);
    }
  }
  return out;
}

/// The shape of a tensor of `dimensions` dimensions.
const std::vector<int64_t>& shape_of(const Checkpoint& checkpoint, const std::string& name,
                                     size_t dimensions) {
  const std::vector<int64_t>& shape = checkpoint.at(name).shape;
  for (const int64_t size : shape) {
    if (size < 1 || size > 1 << 24) fail(ErrorCode::kModelInvalid, name, " has an odd shape");
  }
  if (shape.size() != dimensions) {
    fail(ErrorCode::kModelInvalid, name, " has ", shape.size(), " dimensions where ", dimensions,
         " were expected");
  }
  return shape;
}

/// How many of `prefix`0`suffix`, `prefix`1`suffix`, ... there are.
int64_t count(const Checkpoint& checkpoint, const std::string& prefix, const std::string& suffix) {
  int64_t n = 0;
  while (checkpoint.contains(prefix + std::to_string(n) + suffix)) ++n;
  return n;
}

void expect(bool condition, const char* what) {
  if (!condition) fail(ErrorCode::kModelInvalid, "The checkpoint's shapes do not fit: ", what);
}

}  // namespace

Source read(const Checkpoint& checkpoint, const Architecture& architecture) {
  Source source = {.checkpoint = rename(checkpoint), .geometry = {}};
  const Checkpoint& tensors = source.checkpoint;
  Geometry& g = source.geometry;
  g.architecture = architecture;
  const bool dit = tensors.contains("transformer_blocks.0.attn.to_q.weight");
  if (!dit && !tensors.contains("layers.0.2.to_q.weight")) {
    fail(ErrorCode::kModelUnsupported,
         "The checkpoint holds neither a DiT of F5-TTS nor a UNetT of E2-TTS "
         "(transformer.transformer_blocks.0 or transformer.layers.0)");
  }
  g.backbone = dit ? BackboneKind::kDiT : BackboneKind::kUNetT;
  const std::string attention = dit ? "transformer_blocks.0.attn" : "layers.0.2";
  const std::string forward = dit ? "transformer_blocks.0.ff" : "layers.0.4";
  g.layers = dit ? count(tensors, "transformer_blocks.", ".attn.to_q.weight")
                 : count(tensors, "layers.", ".2.to_q.weight");
  const auto& query = shape_of(tensors, attention + ".to_q.weight", 2);
  g.width = query[1];
  // The rotary table has a frequency for each pair of a head's numbers; 64 is what all have.
  g.head = tensors.contains("rotary_embed.inv_freq")
               ? 2 * shape_of(tensors, "rotary_embed.inv_freq", 1)[0]
               : 64;
  expect(query[0] % g.head == 0, "the heads are no multiple of the rotary table");
  g.heads = query[0] / g.head;
  g.inner = shape_of(tensors, forward + ".ff.0.0.weight", 2)[0];
  g.query_key_norm = tensors.contains(attention + ".q_norm.weight");
  g.long_skip = tensors.contains("long_skip_connection.weight");
  g.mels = shape_of(tensors, "proj_out.weight", 2)[0];

  const auto& text = shape_of(tensors, "text_embed.text_embed.weight", 2);
  g.vocabulary = text[0] - 1;  // row 0 is filler
  g.text_width = text[1];
  expect(g.vocabulary > 0 && g.text_width % 2 == 0, "the text embedding");
  g.text_layers = count(tensors, "text_embed.text_blocks.", ".dwconv.weight");
  if (g.text_layers > 0) {
    g.text_inner = shape_of(tensors, "text_embed.text_blocks.0.pwconv1.weight", 2)[0];
  }
  const auto& convolution = shape_of(tensors, "input_embed.conv_pos_embed.conv1d.0.weight", 3);
  g.group = convolution[1];
  g.kernel = convolution[2];
  expect(g.width % g.group == 0 && g.kernel % 2 == 1, "the position convolution");
  if (!dit) {
    expect(g.layers % 2 == 0, "a UNetT has an even number of layers");
    if (!tensors.contains("layers." + std::to_string(g.layers / 2) + ".0.weight")) {
      fail(ErrorCode::kModelUnsupported, "A UNetT without projected skips is not supported");
    }
  }
  if (architecture.average_upsampling && (!dit || !architecture.mask_text_padding)) {
    fail(ErrorCode::kInvalidArgument,
         "averageUpsampling is for a DiT whose text padding is masked (maskTextPadding)");
  }
  return source;
}

}  // namespace voxpod::f5
