"""faster-whisper, greedy, one window after another: MODEL AUDIO THREADS COMPUTE_TYPE LANGUAGE"""
import sys

import faster_whisper

from measure import report

folder, audio, threads, compute_type, language = sys.argv[1:]


def load():
    return faster_whisper.WhisperModel(
        folder, device='cpu', compute_type=compute_type, cpu_threads=int(threads)
    )


def transcribe(model):
    segments, _ = model.transcribe(audio, beam_size=1, language=language, task='transcribe')
    return ''.join(segment.text for segment in segments)


report(f'faster-whisper {faster_whisper.__version__}', load, transcribe)
