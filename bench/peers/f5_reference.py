"""The authors' F5-TTS beside which voxpod is measured: its flow and Vocos, with random weights.

    f5_reference.py write FOLDER          v1 Base and Vocos under the hub's names, in both formats
    f5_reference.py measure JSON          {"threads", "dtype", "condition", "frames", "steps", "tokens"}

Only the model is imported: what its package imports for training and for other front ends is
replaced by empty modules, so that it needs no more than torch, torchdiffeq, x_transformers, einops.
"""

import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
import types

import torch

MODEL = dict(dim=1024, depth=22, heads=16, ff_mult=2, text_dim=512, conv_layers=4, text_num_embeds=2545, mel_dim=100)
UNUSED = {
    "accelerate", "cached_path", "datasets", "ema_pytorch", "encodec", "librosa", "loguru", "pypinyin", "rjieba",
    "torchaudio", "wandb",
}  # fmt: skip


class Empty(types.ModuleType):
    """Has every name, which stands for nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args, **rest: None})


class Unused(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Behind all others: finds what is not installed and not needed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in UNUSED:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Empty(spec.name)

    def exec_module(self, module):
        pass


def import_reference():
    sys.meta_path.append(Unused())
    from f5_tts.model.backbones.dit import DiT
    from f5_tts.model.cfm import CFM
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    return DiT, CFM, VocosBackbone, ISTFTHead


class Vocos(torch.nn.Module):
    def __init__(self, backbone, head):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, mel):
        return self.head(self.backbone(mel))


def build():
    """Random numbers throughout: as the authors initialise it, every block would pass its input on."""
    DiT, CFM, VocosBackbone, ISTFTHead = import_reference()
    torch.manual_seed(0)
    transformer = DiT(**MODEL)
    vocos = Vocos(
        VocosBackbone(input_channels=100, dim=512, intermediate_dim=1536, num_layers=8),
        ISTFTHead(dim=512, n_fft=1024, hop_length=256, padding="center"),
    )
    for module in (transformer, vocos):
        for name, value in module.named_parameters():
            if value.dim() > 1:
                torch.nn.init.normal_(value, std=0.02)
    return CFM, transformer.eval(), vocos.eval()


def write(folder):
    from safetensors.torch import save_file

    _, transformer, vocos = build()
    state = {f"ema_model.transformer.{name}": value.clone() for name, value in transformer.state_dict().items()}
    state |= {"initted": torch.tensor(True), "step": torch.tensor(1250000)}
    own = os.path.join(folder, "f5", "F5TTS_v1_Base")
    os.makedirs(own, exist_ok=True)
    os.makedirs(os.path.join(folder, "f5-pt", "F5TTS_v1_Base"), exist_ok=True)
    os.makedirs(os.path.join(folder, "vocos"), exist_ok=True)
    save_file(state, os.path.join(own, "model_1250000.safetensors"))
    torch.save(
        {"ema_model_state_dict": state},
        os.path.join(folder, "f5-pt", "F5TTS_v1_Base", "model_1250000.pt"),
    )
    torch.save(vocos.state_dict(), os.path.join(folder, "vocos", "pytorch_model.bin"))
    package = importlib.util.find_spec("f5_tts").submodule_search_locations[0]
    with open(os.path.join(package, "infer", "examples", "vocab.txt"), "rb") as file:
        vocabulary = file.read()
    for name in ("f5", "f5-pt"):
        with open(os.path.join(folder, name, "F5TTS_v1_Base", "vocab.txt"), "wb") as file:
            file.write(vocabulary)
    with open(os.path.join(folder, "vocos", "config.yaml"), "w") as file:
        file.write("# backbone 512, 1536, 8 layers; head 1024, 256\n")


@torch.inference_mode()
def measure(settings):
    torch.set_num_threads(settings["threads"])
    CFM, transformer, vocos = build()
    frames, steps = settings["frames"], settings["steps"]
    mel = torch.nn.Identity()
    mel.n_mel_channels = MODEL["mel_dim"]
    model = CFM(transformer, mel_spec_module=mel).eval()
    dtype = getattr(torch, settings["dtype"])
    model = model.to(dtype)
    condition = torch.randn(1, settings["condition"], 100)
    tokens = torch.randint(0, 2545, (1, settings["tokens"]))

    def sample(count):
        started = time.perf_counter()
        mel, _ = model.sample(
            condition, tokens, frames, steps=count, cfg_strength=2.0, sway_sampling_coef=-1.0, seed=1
        )
        return mel, time.perf_counter() - started

    sample(1)
    mel, seconds = sample(steps)
    started = time.perf_counter()
    wave = vocos(mel[:, settings["condition"] :].float().transpose(1, 2))
    vocoder = time.perf_counter() - started
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {
        "packages": {name: importlib.metadata.version(name) for name in ("f5-tts", "torch", "vocos")},
        "seconds": seconds,
        "vocoder": vocoder,
        "samples": wave.shape[-1],
        "peakBytes": peak * 1024,
    }


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2])
    else:
        print(json.dumps(measure(json.loads(sys.argv[2]))))
