// Names and defaults: NVIDIA/BigVGAN, bigvgan.py and configs/bigvgan_v2_24khz_100band_256x.json.
#include "vocoder/bigvgan_config.h"

#include "checkpoint/json.h"
#include "checkpoint/mapped_file.h"
#include "error.h"
#include "vocoder/vocoder.h"

namespace voxpod {
namespace {

constexpr int64_t kMax = 64;  // of rates, kernels, dilations and their numbers

class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  template <typename... Why>
  [[noreturn]] void stop(const Why&... why) const {
    fail(ErrorCode::kModelInvalid, where_, " ", why...);
  }

  bool flag(const char* name, bool otherwise) const {
    const Json* value = json_.find(name);
    if (!value) return otherwise;
    if (!value->boolean()) stop("has a ", name, " that is neither true nor false");
    return *value->boolean();
  }

  std::string text(const char* name) const {
    const Json* value = json_.find(name);
    if (!value || !value->string()) stop("has no ", name);
    return *value->string();
  }

  /// Numbers from 1 to kMax.
  std::vector<int64_t> numbers(const Json& list, const char* name) const {
    std::vector<int64_t> out;
    if (!list.array() || list.array()->empty() || list.array()->size() > kMax) {
      stop("has no list ", name);
    }
    for (const Json& item : *list.array()) {
      int64_t value = 0;
      if (!item.to_integer(value) || value < 1 || value > kMax) {
        stop("has a number in ", name, " that is not from 1 to ", kMax);
      }
      out.push_back(value);
    }
    return out;
  }
  std::vector<int64_t> numbers(const char* name) const {
    const Json* list = json_.find(name);
    if (!list) stop("has no ", name);
    return numbers(*list, name);
  }

  void expect(const char* name, int64_t expected) const {
    const Json* value = json_.find(name);
    int64_t found = 0;
    if (!value || !value->to_integer(found) || found != expected) {
      fail(ErrorCode::kModelUnsupported, where_, " is of a vocoder for another ", name, " than ",
           expected, ": F5-TTS needs bigvgan_v2_24khz_100band_256x");
    }
  }

  const Json& json() const { return json_; }

 private:
  const Json& json_;
  const std::string where_;
};

}  // namespace

BigVganConfig read_bigvgan_config(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    fail(ErrorCode::kModelNotFound, "BigVGAN needs its config.json beside it: there is no ",
         file.string());
  }
  const MappedFile text(file);
  const Json json = Json::parse(text.text(), file.string());
  const Reader reader(json, file.string());
  reader.expect("num_mels", kVocoderMels);
  reader.expect("sampling_rate", kVocoderRate);
  reader.expect("hop_size", kVocoderHop);

  BigVganConfig out;
  const Json* kind = json.find("resblock");
  if (kind && kind->string() && *kind->string() != "1") {
    fail(ErrorCode::kModelUnsupported, file.string(), " has residual blocks of the kind ",
         *kind->string(), " where 1 was expected");
  }
  const std::string activation = reader.text("activation");
  if (activation != "snakebeta" && activation != "snake") {
    fail(ErrorCode::kModelUnsupported, file.string(), " has the unknown activation ", activation);
  }
  out.own_beta = activation == "snakebeta";
  out.logarithms = reader.flag("snake_logscale", false);
  out.final_bias = reader.flag("use_bias_at_final", true);
  out.final_tanh = reader.flag("use_tanh_at_final", true);

  const auto rates = reader.numbers("upsample_rates");
  const auto kernels = reader.numbers("upsample_kernel_sizes");
  if (rates.size() != kernels.size()) reader.stop("has not one kernel for each upsampling");
  int64_t hop = 1;
  for (size_t i = 0; i < rates.size(); ++i) {
    if (kernels[i] < rates[i] || (kernels[i] - rates[i]) % 2 != 0) {
      reader.stop("has an upsampling by ", rates[i], " with a kernel of ", kernels[i]);
    }
    out.upsamplings.push_back({.rate = rates[i], .kernel = kernels[i]});
    hop = hop > kVocoderHop ? hop : hop * rates[i];
  }
  if (hop != kVocoderHop)
    reader.stop("has upsamplings that do not make ", kVocoderHop, " together");
  const auto sizes = reader.numbers("resblock_kernel_sizes");
  const Json* dilations = json.find("resblock_dilation_sizes");
  if (!dilations || !dilations->array() || dilations->array()->size() != sizes.size()) {
    reader.stop("has not one list in resblock_dilation_sizes for each kernel");
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] % 2 == 0) reader.stop("has a residual block with a kernel of ", sizes[i]);
    BigVganConfig::ResidualBlock block;
    block.kernel = sizes[i];
    block.dilations = reader.numbers((*dilations->array())[i], "resblock_dilation_sizes");
    out.blocks.push_back(std::move(block));
  }
  return out;
}

}  // namespace voxpod
