#include "tiny_model.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

namespace voxpod::test {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "voxpod-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

namespace {

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_bytes(std::string& out, const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  out.append(static_cast<const char*>(whole.const_data_ptr()), whole.nbytes());
}

void append_text(std::string& out, const std::string& text) {
  append(out, static_cast<uint16_t>(text.size() + 1));
  out += text;
  out += '\0';
}

void append_variable(std::string& out, const std::string& name, const at::Tensor& tensor,
                     uint8_t type) {
  append_text(out, name);
  append(out, static_cast<uint8_t>(tensor.dim()));
  for (const int64_t size : tensor.sizes()) append(out, static_cast<uint32_t>(size));
  append(out, type);
  append(out, static_cast<uint32_t>(tensor.nbytes()));
  append_bytes(out, tensor);
}

}  // namespace

std::string safetensors(const std::map<std::string, at::Tensor>& tensors) {
  std::ostringstream header;
  std::string data;
  header << "{";
  for (const auto& [name, tensor] : tensors) {
    header << (data.empty() ? "" : ",") << "\"" << name << "\":{\"dtype\":\"F32\",\"shape\":[";
    for (int64_t i = 0; i < tensor.dim(); ++i) header << (i == 0 ? "" : ",") << tensor.size(i);
    header << "],\"data_offsets\":[" << data.size() << "," << data.size() + tensor.nbytes() << "]}";
    append_bytes(data, tensor);
  }
  header << "}";
  std::string out;
  append(out, static_cast<uint64_t>(header.str().size()));
  return out + header.str() + data;
}

whisper::Geometry tiny_geometry() {
  return {.mels = 80,
          .audio_context = 1500,
          .text_context = 64,
          .width = 64,
          .encoder_heads = 2,
          .decoder_heads = 2,
          .encoder_layers = 2,
          .decoder_layers = 2,
          .encoder_inner = 128,
          .decoder_inner = 128,
          .vocabulary = 300};
}

std::string tiny_config() {
  return R"({"model_type":"whisper","num_mel_bins":80,"max_source_positions":1500,)"
         R"("max_target_positions":64,"d_model":64,"encoder_attention_heads":2,)"
         R"("decoder_attention_heads":2,"encoder_layers":2,"decoder_layers":2,)"
         R"("encoder_ffn_dim":128,"decoder_ffn_dim":128,"vocab_size":300})";
}

std::map<std::string, at::Tensor> tiny_weights() {
  const auto g = tiny_geometry();
  auto generator = at::detail::createCPUGenerator(7);
  std::map<std::string, at::Tensor> out;
  const auto random = [&](std::vector<int64_t> sizes, double scale) {
    // Values of float16, so that every layout holds the same ones.
    return at::randn(sizes, generator, at::kFloat).mul(scale).to(at::kHalf).to(at::kFloat);
  };
  const auto linear = [&](const std::string& name, int64_t rows, int64_t columns,
                          bool bias = true) {
    out[name + ".weight"] = random({rows, columns}, 0.2);
    if (bias) out[name + ".bias"] = random({rows}, 0.1);
  };
  const auto norm = [&](const std::string& name) {
    out[name + ".weight"] =
        at::ones({g.width}).add(random({g.width}, 0.1)).to(at::kHalf).to(at::kFloat);
    out[name + ".bias"] = random({g.width}, 0.1);
  };
  for (const std::string side : {"encoder", "decoder"}) {
    for (int i = 0; i < 2; ++i) {
      const std::string at = "model." + side + ".layers." + std::to_string(i);
      for (const std::string attention : {"self_attn", "encoder_attn"}) {
        if (side == "encoder" && attention == "encoder_attn") continue;
        for (const std::string part : {"q", "k", "v"}) {
          linear(at + "." + attention + "." + part + "_proj", g.width, g.width, part != "k");
        }
        linear(at + "." + attention + ".out_proj", g.width, g.width);
        norm(at + "." + attention + "_layer_norm");
      }
      linear(at + ".fc1", g.encoder_inner, g.width);
      linear(at + ".fc2", g.width, g.encoder_inner);
      norm(at + ".final_layer_norm");
    }
    norm("model." + side + ".layer_norm");
  }
  out["model.encoder.conv1.weight"] = random({g.width, g.mels, 3}, 0.1);
  out["model.encoder.conv1.bias"] = random({g.width}, 0.1);
  out["model.encoder.conv2.weight"] = random({g.width, g.width, 3}, 0.1);
  out["model.encoder.conv2.bias"] = random({g.width}, 0.1);
  out["model.encoder.embed_positions.weight"] = random({g.audio_context, g.width}, 0.3);
  out["model.decoder.embed_positions.weight"] = random({g.text_context, g.width}, 0.3);
  out["model.decoder.embed_tokens.weight"] = random({g.vocabulary, g.width}, 0.5);
  return out;
}

void write_tiny_model(const std::filesystem::path& folder) {
  write_file(folder / "config.json", tiny_config());
  write_file(folder / "model.safetensors", safetensors(tiny_weights()));
}

std::string ctranslate2(const std::map<std::string, at::Tensor>& tensors,
                        const whisper::Geometry& geometry, bool int8) {
  std::string body;
  uint32_t count = 0;
  const auto variable = [&](const std::string& name, const at::Tensor& value) {
    if (int8 && value.dim() == 2 && name.find("encodings") == std::string::npos) {
      const at::Tensor scale = value.abs().amax(1).reciprocal().mul(127);
      append_variable(body, name, value.mul(scale.unsqueeze(1)).round().to(at::kChar), 1);
      append_variable(body, name + "_scale", scale, 0);
      count += 2;
      return;
    }
    append_variable(body, name, value.to(at::kHalf), 4);
    ++count;
  };
  const auto get = [&](const std::string& name) { return tensors.at("model." + name); };
  const auto linear = [&](const std::string& name, const std::string& from) {
    variable(name + "/weight", get(from + ".weight"));
    variable(name + "/bias", get(from + ".bias"));
  };
  const auto norm = [&](const std::string& name, const std::string& from) {
    variable(name + "/gamma", get(from + ".weight"));
    variable(name + "/beta", get(from + ".bias"));
  };
  const auto fused = [&](const std::string& name, const std::string& from,
                         const std::string& letters) {
    std::vector<at::Tensor> weights;
    std::vector<at::Tensor> biases;
    for (const char letter : letters) {
      weights.push_back(get(from + "." + letter + "_proj.weight"));
      biases.push_back(letter == 'k' ? at::zeros({geometry.width})
                                     : get(from + "." + letter + "_proj.bias"));
    }
    variable(name + "/weight", at::cat(weights));
    variable(name + "/bias", at::cat(biases));
  };
  for (const std::string side : {"encoder", "decoder"}) {
    append_variable(body, side + "/num_heads", at::ones({}, at::kShort).mul(geometry.encoder_heads),
                    2);
    ++count;
    for (int i = 0; i < 2; ++i) {
      const std::string to = side + "/layer_" + std::to_string(i);
      const std::string from = side + ".layers." + std::to_string(i);
      fused(to + "/self_attention/linear_0", from + ".self_attn", "qkv");
      linear(to + "/self_attention/linear_1", from + ".self_attn.out_proj");
      norm(to + "/self_attention/layer_norm", from + ".self_attn_layer_norm");
      if (side == "decoder") {
        fused(to + "/attention/linear_0", from + ".encoder_attn", "q");
        fused(to + "/attention/linear_1", from + ".encoder_attn", "kv");
        linear(to + "/attention/linear_2", from + ".encoder_attn.out_proj");
        norm(to + "/attention/layer_norm", from + ".encoder_attn_layer_norm");
      }
      linear(to + "/ffn/linear_0", from + ".fc1");
      linear(to + "/ffn/linear_1", from + ".fc2");
      norm(to + "/ffn/layer_norm", from + ".final_layer_norm");
    }
    norm(side + "/layer_norm", side + ".layer_norm");
    variable(side + "/position_encodings/encodings", get(side + ".embed_positions.weight"));
  }
  linear("encoder/conv1", "encoder.conv1");
  linear("encoder/conv2", "encoder.conv2");
  variable("decoder/embeddings/weight", get("decoder.embed_tokens.weight"));

  std::string out;
  append(out, uint32_t{6});
  append_text(out, "WhisperSpec");
  append(out, uint32_t{3});
  append(out, count);
  out += body;
  append(out, uint32_t{1});
  append_text(out, "decoder/projection/weight");
  append_text(out, "decoder/embeddings/weight");
  return out;
}

}  // namespace voxpod::test
