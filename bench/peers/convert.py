"""Writes a Hugging Face folder's weights as what another engine reads: FOLDER FILE FORMAT

FORMAT is "pt" (openai-whisper's checkpoint), "f16" or "q8_0" (whisper.cpp's ggml). The weights stay
the folder's own; q8_0 alone rounds them, as whisper.cpp's own quantizer does.
"""
import json
import os
import struct
import sys

import numpy
from safetensors.numpy import load_file

# openai-whisper's name of each of Hugging Face's modules, whisper/model.py beside
# transformers/models/whisper/modeling_whisper.py; longer names come before their parts.
NAMES = [
    ('layers.', 'blocks.'),
    ('encoder_attn_layer_norm', 'cross_attn_ln'),
    ('self_attn_layer_norm', 'attn_ln'),
    ('final_layer_norm', 'mlp_ln'),
    ('encoder_attn.', 'cross_attn.'),
    ('self_attn.', 'attn.'),
    ('q_proj', 'query'),
    ('k_proj', 'key'),
    ('v_proj', 'value'),
    ('out_proj', 'out'),
    ('fc1', 'mlp.0'),
    ('fc2', 'mlp.2'),
    ('embed_positions.weight', 'positional_embedding'),
    ('embed_tokens', 'token_embedding'),
    ('encoder.layer_norm', 'encoder.ln_post'),
    ('decoder.layer_norm', 'decoder.ln'),
]


def read(folder):
    """The folder's configuration, and its tensors under openai-whisper's names."""
    with open(os.path.join(folder, 'config.json')) as file:
        config = json.load(file)
    tensors = {}
    for name, tensor in load_file(os.path.join(folder, 'model.safetensors')).items():
        if name == 'proj_out.weight':  # The token embedding once more.
            continue
        name = name.removeprefix('model.')
        for theirs, ours in NAMES:
            name = name.replace(theirs, ours)
        tensors[name] = tensor
    return config, tensors


def dimensions(config):
    """In the order of openai-whisper's ModelDimensions, but for the mels, and of a ggml header."""
    return {
        'n_vocab': config['vocab_size'],
        'n_audio_ctx': config['max_source_positions'],
        'n_audio_state': config['d_model'],
        'n_audio_head': config['encoder_attention_heads'],
        'n_audio_layer': config['encoder_layers'],
        'n_text_ctx': config['max_target_positions'],
        'n_text_state': config['d_model'],
        'n_text_head': config['decoder_attention_heads'],
        'n_text_layer': config['decoder_layers'],
        'n_mels': config['num_mel_bins'],
    }


def write_pt(folder, path):
    import torch

    config, tensors = read(folder)
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    torch.save({'dims': dimensions(config), 'model_state_dict': state}, path)


def vocabulary(folder):
    """The bytes of each token of text, in the order of their ids."""
    with open(os.path.join(folder, 'tokenizer.json'), encoding='utf8') as file:
        tokenizer = json.load(file)
    # GPT-2's byte-level alphabet: bytes that print stand for themselves, the rest follow from 256 on.
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in printing]
    byte_of = {chr(byte): byte for byte in printing}
    byte_of.update({chr(256 + i): byte for i, byte in enumerate(other)})
    special = {token['content'] for token in tokenizer['added_tokens']}
    words = sorted(tokenizer['model']['vocab'].items(), key=lambda item: item[1])
    return [bytes(byte_of[c] for c in word) for word, _ in words if word not in special]


def mel_filters(config):
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=config['num_mel_bins']).mel_filters.T


# Of ggml.h: types of a tensor and of a file; the latter counts quantizer versions in thousands.
F32, F16, Q8_0 = 0, 1, 8
FILE_TYPES = {'f16': 1, 'q8_0': 2007}


def q8_0(tensor):
    """Blocks of 32 values: a float16 scale, then bytes (quantize_row_q8_0_ref in ggml-quants.c)."""
    rows = tensor.astype(numpy.float32).reshape(-1, 32)
    scale = numpy.abs(rows).max(axis=1) / numpy.float32(127)
    inverse = numpy.divide(1, scale, out=numpy.zeros_like(scale), where=scale != 0)
    scaled = rows * inverse[:, None]
    blocks = numpy.empty(len(rows), dtype=[('scale', '<f2'), ('values', 'i1', 32)])
    blocks['scale'] = scale
    blocks['values'] = numpy.trunc(scaled + numpy.copysign(numpy.float32(0.5), scaled))
    return blocks


def write_ggml(folder, path, form):
    config, tensors = read(folder)
    filters = numpy.ascontiguousarray(mel_filters(config), dtype='<f4')
    with open(path, 'wb') as file:
        file.write(struct.pack('<i', 0x67676D6C))
        file.write(struct.pack('<10i', *dimensions(config).values()))
        file.write(struct.pack('<3i', FILE_TYPES[form], *filters.shape))
        file.write(filters.tobytes())
        words = vocabulary(folder)
        file.write(struct.pack('<i', len(words)))
        for word in words:
            file.write(struct.pack('<i', len(word)) + word)
        for name, tensor in tensors.items():
            if name in ('encoder.conv1.bias', 'encoder.conv2.bias'):
                tensor = tensor.reshape(-1, 1)
            kind, data = F16, tensor.astype('<f2')
            # As convert-h5-to-ggml.py and examples/quantize of whisper.cpp choose.
            if tensor.ndim < 2 or name.endswith(('positional_embedding', 'conv1.bias', 'conv2.bias')):
                kind, data = F32, tensor.astype('<f4')
            elif form == 'q8_0' and tensor.ndim == 2:
                kind, data = Q8_0, q8_0(tensor)
            file.write(struct.pack('<3i', tensor.ndim, len(name), kind))
            file.write(struct.pack(f'<{tensor.ndim}i', *reversed(tensor.shape)))
            file.write(name.encode())
            file.write(data.tobytes())


folder, path, form = sys.argv[1:]
if form == 'pt':
    write_pt(folder, path)
else:
    write_ggml(folder, path, form)
