// Against tensors of the reference implementation (VOXPOD_GOLDENS).
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>

#include <cstring>

#include "check.h"
#include "f5/flow.h"

namespace {

using namespace voxpod;
using namespace voxpod::f5;

constexpr double kTolerance = 1e-4;

/// A tiny model of the reference and what it gave.
struct Golden {
  Golden(const std::string& name, const Architecture& how)
      : folder(test::folder("VOXPOD_GOLDENS", "f5/" + name)), architecture(how) {
    read_safetensors(folder / "model.safetensors", weights);
    read_safetensors(folder / "forward_t0.3.safetensors", forward);
  }
  at::Tensor get(const std::string& name) const {
    return forward.tensor(name, forward.at(name).shape);
  }

  std::filesystem::path folder;
  Architecture architecture;
  Checkpoint weights;
  Checkpoint forward;
};

std::vector<Golden> goldens() {
  std::vector<Golden> out;
  out.emplace_back("dit_v1", Architecture{});
  out.emplace_back("dit_v0", Architecture{.mask_text_padding = false, .rotary_first_head = true});
  out.emplace_back("dit_extras", Architecture{.average_upsampling = true});
  out.emplace_back("dit_v1_batch_attnmask", Architecture{});
  out.emplace_back("e2_unett", Architecture{.mask_text_padding = false, .rotary_first_head = true});
  return out;
}

template <typename T>
std::vector<T> numbers(const Checkpoint& file, const std::string& name) {
  const StoredTensor& stored = file.at(name);
  std::vector<T> out(stored.bytes() / sizeof(T));
  std::memcpy(out.data(), stored.data, stored.bytes());
  return out;
}

/// Text of one item of a batch, without the -1 behind it.
std::vector<int64_t> tokens_of(const Golden& golden, int64_t item) {
  const std::vector<int64_t> all = numbers<int64_t>(golden.forward, "in.text_ids");
  const int64_t columns = golden.forward.at("in.text_ids").shape[1];
  std::vector<int64_t> out(all.begin() + item * columns, all.begin() + (item + 1) * columns);
  std::erase(out, -1);
  return out;
}

struct Loaded {
  Loaded(const Golden& golden, const Placement& placement)
      : source(read(golden.weights, golden.architecture)) {
    Weights weights(source.checkpoint, placement, nullptr, std::make_shared<Cancellation>());
    weights.require_finite();
    backbone = make_backbone(weights, source.geometry);
  }
  Source source;
  std::unique_ptr<Backbone> backbone;
};

/// Runs `check` for every model, with voxpod's kernels and with ATen's operators alone.
void for_each_path(
    const std::function<void(const Golden&, const Loaded&, const Placement&)>& check) {
  for (const Golden& golden : goldens()) {
    for (const bool kernels : {true, false}) {
      const Placement placement = {.cpu_kernels = kernels};
      check(golden, Loaded(golden, placement), placement);
    }
  }
}

/// Rows of a golden [items, frames, ...] that are no padding, one item after another; `lead` rows
/// more of each stand before them.
at::Tensor rows_of(const Golden& golden, const at::Tensor& value, int64_t lead) {
  const std::vector<int64_t> frames = numbers<int64_t>(golden.forward, "in.durations");
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < value.size(0); ++i) {
    const int64_t own = frames[static_cast<size_t>(i) % frames.size()] + lead;
    parts.push_back(value.select(0, i).narrow(0, 0, own));
  }
  return at::cat(parts);
}

struct Sampling {
  const char* name;
  double guidance;
  Method method = Method::kEuler;
  bool reference = true;
};

constexpr Sampling kSamplings[] = {
    {.name = "nfe32_cfg2_sway", .guidance = 2},
    {.name = "nfe16_epss", .guidance = 2},
    {.name = "nfe7_epss", .guidance = 2},
    {.name = "nfe8_noepss_table", .guidance = 2},
    {.name = "nfe6_linear_nosway", .guidance = 1},
    {.name = "nfe8_cfg0", .guidance = 0},
    {.name = "nfe8_no_ref_audio", .guidance = 2, .reference = false},
    {.name = "nfe8_edit_mask", .guidance = 2},
    {.name = "nfe8_midpoint", .guidance = 2, .method = Method::kMidpoint},
};

FlowRequest request_of(const Golden& golden, const Checkpoint& sample, const Sampling& sampling) {
  FlowRequest out;
  const int64_t mels = sample.at("y0").shape[2];
  const auto lens = numbers<int64_t>(golden.forward, "in.lens");
  const auto durations = numbers<int64_t>(golden.forward, "in.durations");
  out.frames = durations[0];
  out.condition = numbers<float>(sample, "cond_mel");
  out.condition.resize(static_cast<size_t>(lens[0] * mels));
  if (!sampling.reference) std::fill(out.condition.begin(), out.condition.end(), 0.0F);
  if (sample.contains("edit_mask")) out.keep = numbers<uint8_t>(sample, "edit_mask");
  out.tokens = tokens_of(golden, 0);
  out.noise = numbers<float>(sample, "y0");
  out.noise.resize(static_cast<size_t>(out.frames * mels));
  out.times = numbers<float>(sample, "t_schedule");
  out.method = sampling.method;
  out.guidance = sampling.guidance;
  return out;
}

}  // namespace

TEST(f5_parity_test, "text embeddings equal the reference's") {
  for_each_path([](const Golden& golden, const Loaded& loaded, const Placement&) {
    const auto frames = numbers<int64_t>(golden.forward, "in.durations")[0];
    const auto text =
        loaded.backbone->text().forward(tokens_of(golden, 0), frames, true, Cancellation());
    EXPECT_LESS(test::relative_error(text.text, golden.get("tap.text_embed").select(0, 0)),
                kTolerance);
    EXPECT_LESS(test::relative_error(text.dropped, golden.get("tap.text_embed#1").select(0, 0)),
                kTolerance);
  });
}

TEST(f5_parity_test, "the layers and the direction equal the reference's") {
  for_each_path([](const Golden& golden, const Loaded& loaded, const Placement&) {
    const auto frames = numbers<int64_t>(golden.forward, "in.durations");
    const float time = golden.get("in.time").item<float>();
    const at::Tensor conditioning = loaded.backbone->condition({&time, 1}).select(0, 0);
    std::vector<Half> halves;
    for (const bool dropped : {false, true}) {
      for (size_t i = 0; i < frames.size(); ++i) {
        // The reference embeds text for the longest utterance of a batch, so it is taken from
        // there.
        const auto own = [&](const std::string& name) {
          return golden.get(name).select(0, static_cast<int64_t>(i)).narrow(0, 0, frames[i]);
        };
        const at::Tensor condition = own("in.cond");
        halves.push_back({.mel = own("in.x"),
                          .context = loaded.backbone->input().context(
                              dropped ? condition.mul(0) : condition,
                              own(dropped ? "tap.text_embed#1" : "tap.text_embed")),
                          .conditioning = conditioning});
      }
    }
    const bool unet = loaded.source.geometry.backbone == BackboneKind::kUNetT;
    std::vector<std::string> seen;
    std::vector<at::Tensor> embedded;
    loaded.backbone->observe([&](const std::string& name, const at::Tensor& value) {
      if (name == "input_embed") {
        embedded.push_back(value.clone());
        return;
      }
      seen.push_back(name);
      const at::Tensor expected = rows_of(golden, golden.get("tap." + name), unet ? 1 : 0);
      if (test::relative_error(value.to(at::kFloat), expected) >= kTolerance) {
        test::failure(__FILE__, __LINE__,
                      golden.folder.string() + " " + name + " differs by " +
                          std::to_string(test::relative_error(value, expected)));
      }
    });
    const at::Tensor velocity = loaded.backbone->velocity(halves, [] {});
    EXPECT_LESS(
        test::relative_error(at::cat(embedded),
                             at::cat({rows_of(golden, golden.get("tap.input_embed"), 0),
                                      rows_of(golden, golden.get("tap.input_embed#1"), 0)})),
        kTolerance);
    EXPECT_LESS(
        test::relative_error(velocity, rows_of(golden, golden.get("out.velocity_packed"), 0)),
        kTolerance);
    // Every block but the last is seen whole, too.
    EXPECT_EQUAL(std::ssize(seen), loaded.source.geometry.layers * 4 + (unet ? 1 : 0));
  });
}

TEST(f5_parity_test, "what a point of time becomes equals the reference's") {
  for_each_path([](const Golden& golden, const Loaded& loaded, const Placement&) {
    const Geometry& g = loaded.source.geometry;
    const float time = golden.get("in.time").item<float>();
    const at::Tensor conditioning = loaded.backbone->condition({&time, 1}).select(0, 0);
    if (g.backbone == BackboneKind::kUNetT) {
      EXPECT_LESS(test::relative_error(conditioning, golden.get("tap.time_embed").select(0, 0)),
                  kTolerance);
      return;
    }
    // The first chunks go into the norm; the next four come out beside it.
    for (int64_t layer = 0; layer < g.layers; ++layer) {
      for (int64_t i = 1; i <= 4; ++i) {
        const at::Tensor expected = golden.get("tap.transformer_blocks." + std::to_string(layer) +
                                               ".attn_norm.out" + std::to_string(i));
        EXPECT_LESS(
            test::relative_error(conditioning.narrow(0, (6 * layer + 1 + i) * g.width, g.width),
                                 expected.select(0, 0)),
            kTolerance);
      }
    }
  });
}

TEST(f5_parity_test, "what is sampled equals the reference's") {
  for_each_path([](const Golden& golden, const Loaded& loaded, const Placement& placement) {
    int found = 0;
    for (const Sampling& sampling : kSamplings) {
      const auto file = golden.folder / (std::string("sample_") + sampling.name + ".safetensors");
      if (!std::filesystem::exists(file)) continue;
      ++found;
      Checkpoint sample;
      read_safetensors(file, sample);
      const FlowRequest request = request_of(golden, sample, sampling);
      validate(request, loaded.source.geometry);
      Flow flow(request, *loaded.backbone, loaded.source.geometry, placement, Cancellation());
      const auto expected = [&](const char* name) {
        return sample.tensor(name, sample.at(name).shape).select(0, 0).narrow(0, 0, request.frames);
      };
      bool first = true;
      while (!flow.done()) {
        const double before = flow.progress();
        std::vector<Half> halves;
        flow.wanted(loaded.backbone->condition(flow.upcoming(1)).select(0, 0), halves);
        flow.advance(loaded.backbone->velocity(halves, [] {}));
        if (first && flow.progress() > before) {
          EXPECT_LESS(test::relative_error(flow.state(), expected("traj1")), kTolerance);
          first = false;
        }
      }
      EXPECT_LESS(test::relative_error(flow.state(), expected("sampled_raw")), kTolerance);
      EXPECT_LESS(test::relative_error(flow.result(), expected("out")), kTolerance);
    }
    EXPECT(found > 0);
  });
}
