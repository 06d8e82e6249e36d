"""openai-whisper in float32 on the CPU: MODEL is a checkpoint that convert.py wrote."""
import torch
import whisper

from measure import audio, beams, model_path, report, settings

torch.set_num_threads(settings['threads'])


def load():
    return whisper.load_model(model_path, device='cpu')


def transcribe(model):
    result = model.transcribe(
        audio,
        language=settings['language'],
        task='transcribe',
        fp16=False,
        beam_size=beams if beams > 1 else None,
        # The command line's own ladder; transcribe() has the same.
        temperature=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        best_of=5,
        word_timestamps=settings.get('words', False),
    )
    return result['text']


report(['openai-whisper', 'torch'], load, transcribe)
