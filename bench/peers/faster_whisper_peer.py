"""faster-whisper, one window after another: MODEL AUDIO THREADS COMPUTE_TYPE LANGUAGE [BEAMS [WORDS]]"""
import sys

import faster_whisper

from measure import report

folder, audio, threads, compute_type, language = sys.argv[1:6]
beams, words = sys.argv[6:8] or ('1', '0')


def load():
    return faster_whisper.WhisperModel(
        folder, device='cpu', compute_type=compute_type, cpu_threads=int(threads)
    )


def transcribe(model):
    segments, _ = model.transcribe(
        audio,
        beam_size=int(beams),
        word_timestamps=words == '1',
        language=language,
        task='transcribe',
    )
    return ''.join(segment.text for segment in segments)


report(f'faster-whisper {faster_whisper.__version__}', load, transcribe)
