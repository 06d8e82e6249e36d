"""whisper.cpp through pywhispercpp: MODEL is a ggml file that convert.py wrote."""
import glob
import os
import re

import _pywhispercpp
from pywhispercpp.model import Model

from measure import audio, beams, model_path, report, settings


def library_version():
    """pywhispercpp does not say which whisper.cpp it was built from; the library's name does."""
    folder = os.path.dirname(_pywhispercpp.__file__)
    names = glob.glob(f'{folder}/libwhisper.so.*') + glob.glob(f'{folder}/*.libs/libwhisper-*.so.*')
    versions = [re.search(r'\.so\.(\d+\.\d+\.\d+)$', name) for name in names]
    return next((found.group(1) for found in versions if found), 'of unknown version')


def instructions():
    """What it was compiled for, of "CPU : SSE3 = 1 | AVX512 = 1 | ..."."""
    words = _pywhispercpp.whisper_print_system_info()
    words = words.decode() if isinstance(words, bytes) else words
    on = re.findall(r'(\w+) = 1', words)
    return ' '.join(name for name in on if name.startswith(('AVX', 'AMX')))


def load():
    return Model(
        model_path,
        params_sampling_strategy=1 if beams > 1 else 0,
        redirect_whispercpp_logs_to=None,
        # Flash attention is whisper-cli's default, too.
        context_params={'use_gpu': False, 'flash_attn': True},
        n_threads=settings['threads'],
        language=settings['language'],
        translate=False,
        # Without timestamps most of a long recording's text is lost.
        no_timestamps=False,
        print_progress=False,
        greedy={'best_of': 5},
        **({'beam_search': {'beam_size': beams, 'patience': -1.0}} if beams > 1 else {}),
    )


def transcribe(model):
    return ' '.join(segment.text for segment in model.transcribe(audio))


report(
    ['pywhispercpp'],
    load,
    transcribe,
    f'whisper.cpp {library_version()} compiled for {instructions() or "no AVX"}',
)
