#include "vocoder/vocoder.h"

#include <ATen/ops/isfinite.h>

#include "checkpoint/checkpoint.h"
#include "error.h"
#include "vocoder/bigvgan.h"
#include "vocoder/input.h"
#include "vocoder/vocos.h"

namespace voxpod {

void check_mel(const at::Tensor& mel) {
  if (mel.dim() != 2 || mel.size(0) < 1 || mel.size(1) != kVocoderMels) {
    fail(ErrorCode::kInvalidArgument, "A mel spectrogram must be [frames, ", kVocoderMels,
         "] with one frame at least, not ", mel.sizes());
  }
  if (!at::isfinite(mel).all().item<bool>()) {
    fail(ErrorCode::kInvalidArgument, "The mel spectrogram holds NaN or infinite numbers");
  }
}

std::unique_ptr<Vocoder> load_vocoder(const std::filesystem::path& file,
                                      const Placement& placement) {
  const Checkpoint checkpoint = open_checkpoint_file(file);
  Placement wide = placement;
  wide.dtype = at::kFloat;
  wide.int8 = false;
  if (Vocos::is_in(checkpoint)) return std::make_unique<Vocos>(checkpoint, wide);
  if (BigVgan::is_in(checkpoint)) {
    return std::make_unique<BigVgan>(checkpoint, file.parent_path() / "config.json", wide);
  }
  fail(ErrorCode::kModelInvalid, file.string(),
       " holds neither Vocos (backbone.embed, head.out) nor BigVGAN (conv_pre, conv_post)");
}

}  // namespace voxpod
