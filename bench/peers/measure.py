"""What every peer shares: its arguments, and one line of JSON with its text, times and peak memory."""
import importlib.metadata
import json
import sys
import time

#: MODEL AUDIO SETTINGS: a folder or a file, a WAV of 16 kHz, and {threads, type, language, beams,
#: words, batch} as JSON, of which the last three may be left out.
model_path, audio = sys.argv[1:3]
settings = json.loads(sys.argv[3])
beams = settings.get('beams', 1)


def peak_bytes():
    """Greatest resident size of this process so far (Linux)."""
    with open('/proc/self/status') as status:
        for line in status:
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024
    return 0


def report(packages, load, transcribe, notes=''):
    """Times `load()` and then `transcribe(model)`, which returns the text of the whole recording.

    `packages` are names on PyPI, the engine's own first, whose versions are reported.
    """
    started = time.perf_counter()
    model = load()
    loaded = time.perf_counter()
    text = transcribe(model)
    ended = time.perf_counter()
    print(json.dumps({
        'packages': {name: importlib.metadata.version(name) for name in packages},
        'loadSeconds': loaded - started,
        'seconds': ended - loaded,
        'text': text,
        'peakBytes': peak_bytes(),
        'notes': notes,
    }))
