"""What every peer reports: one line of JSON with its text, its times and its peak memory."""
import json
import time


def peak_bytes():
    """Greatest resident size of this process so far (Linux)."""
    with open('/proc/self/status') as status:
        for line in status:
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024
    return 0


def report(version, load, transcribe):
    """Times `load()` and then `transcribe(model)`, which returns the text of the whole recording."""
    started = time.perf_counter()
    model = load()
    loaded = time.perf_counter()
    text = transcribe(model)
    ended = time.perf_counter()
    print(json.dumps({
        'version': version,
        'loadSeconds': loaded - started,
        'seconds': ended - loaded,
        'text': text,
        'peakBytes': peak_bytes(),
    }))
