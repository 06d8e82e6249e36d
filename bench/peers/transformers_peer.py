"""transformers, long form with temperature fallback."""
import wave

import numpy
import torch
import transformers

from measure import audio, beams, model_path, report, settings

torch.set_num_threads(settings['threads'])
transformers.logging.set_verbosity_error()


def load():
    processor = transformers.WhisperProcessor.from_pretrained(model_path)
    model = transformers.WhisperForConditionalGeneration.from_pretrained(
        model_path, dtype=getattr(torch, settings['type'])
    )
    return processor, model.eval()


def samples():
    with wave.open(audio) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        data = file.readframes(file.getnframes())
    return numpy.frombuffer(data, numpy.int16).astype(numpy.float32) / 32768


def transcribe(loaded):
    processor, model = loaded
    inputs = processor(
        samples(), sampling_rate=16000, return_tensors='pt', truncation=False,
        padding='longest', return_attention_mask=True,
    )
    # Without a task token a multilingual model babbles; an English-only one refuses both.
    spoken = {'language': settings['language'], 'task': 'transcribe'}
    with torch.inference_mode():
        tokens = model.generate(
            inputs.input_features.to(model.dtype),
            attention_mask=inputs.attention_mask,
            return_timestamps=True,
            num_beams=beams,
            temperature=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
            compression_ratio_threshold=1.35,
            logprob_threshold=-1.0,
            no_speech_threshold=0.6,
            **(spoken if model.generation_config.is_multilingual else {}),
        )
    return processor.batch_decode(tokens, skip_special_tokens=True)[0]


report(['transformers', 'torch'], load, transcribe)
