// CTranslate2's names of Whisper's tensors (python/ctranslate2/specs/whisper_spec.py and
// transformer_spec.py) to those of Hugging Face's WhisperForConditionalGeneration.
#include <string>
#include <vector>

#include "error.h"
#include "whisper/geometry.h"

namespace voxpod::whisper {
namespace {

class Names {
 public:
  explicit Names(Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  void alias(const std::string& to, const std::string& from) {
    checkpoint_.add(to, checkpoint_.at(from));
  }

  void linear(const std::string& to, const std::string& from) {
    alias(to + ".weight", from + "/weight");
    alias(to + ".bias", from + "/bias");
  }

  void norm(const std::string& to, const std::string& from) {
    alias(to + ".weight", from + "/gamma");
    alias(to + ".bias", from + "/beta");
  }

  /// Whisper's keys have no bias; CTranslate2 stores zeros for it.
  void projections(const std::string& to, const std::string& from, const std::string& letters) {
    for (size_t part = 0; part < letters.size(); ++part) {
      const std::string name = to + "." + letters[part] + "_proj";
      checkpoint_.add(name + ".weight", rows(from + "/weight", part, letters.size()));
      if (letters[part] != 'k') {
        checkpoint_.add(name + ".bias", rows(from + "/bias", part, letters.size()));
      }
    }
  }

  bool contains(const std::string& name) const { return checkpoint_.contains(name); }

 private:
  /// The `part`-th of `parts` equal runs of rows.
  StoredTensor rows(const std::string& name, size_t part, size_t parts) const {
    StoredTensor out = checkpoint_.at(name);
    const auto count = static_cast<int64_t>(parts);
    if (out.shape.empty() || out.shape[0] % count != 0) {
      fail(ErrorCode::kModelInvalid, name, " cannot be split into ", parts);
    }
    out.shape[0] /= count;
    out.data += part * out.bytes();
    if (out.row_scale) {
      out.row_scale += part * static_cast<size_t>(out.shape[0]) * sizeof(float);
    }
    return out;
  }

  Checkpoint& checkpoint_;
};

}  // namespace

void add_hugging_face_names(Checkpoint& checkpoint) {
  Names names(checkpoint);
  for (const std::string side : {"encoder", "decoder"}) {
    for (int64_t i = 0;; ++i) {
      const std::string from = side + "/layer_" + std::to_string(i);
      if (!names.contains(from + "/ffn/linear_0/weight")) break;
      const std::string to = side + ".layers." + std::to_string(i);
      names.projections(to + ".self_attn", from + "/self_attention/linear_0", "qkv");
      names.linear(to + ".self_attn.out_proj", from + "/self_attention/linear_1");
      names.norm(to + ".self_attn_layer_norm", from + "/self_attention/layer_norm");
      if (side == "decoder") {
        names.projections(to + ".encoder_attn", from + "/attention/linear_0", "q");
        names.projections(to + ".encoder_attn", from + "/attention/linear_1", "kv");
        names.linear(to + ".encoder_attn.out_proj", from + "/attention/linear_2");
        names.norm(to + ".encoder_attn_layer_norm", from + "/attention/layer_norm");
      }
      names.linear(to + ".fc1", from + "/ffn/linear_0");
      names.linear(to + ".fc2", from + "/ffn/linear_1");
      names.norm(to + ".final_layer_norm", from + "/ffn/layer_norm");
    }
    names.norm(side + ".layer_norm", side + "/layer_norm");
    names.alias(side + ".embed_positions.weight", side + "/position_encodings/encodings");
  }
  names.linear("encoder.conv1", "encoder/conv1");
  names.linear("encoder.conv2", "encoder/conv2");
  names.alias("decoder.embed_tokens.weight", "decoder/embeddings/weight");
}

}  // namespace voxpod::whisper
