"""faster-whisper, one window after another, or its batched pipeline where a batch size is given."""
import faster_whisper

from measure import audio, beams, model_path, report, settings

batch = settings.get('batch')


def load():
    model = faster_whisper.WhisperModel(
        model_path,
        device='cpu',
        compute_type=settings['type'],
        cpu_threads=settings['threads'],
    )
    return faster_whisper.BatchedInferencePipeline(model) if batch else model


def transcribe(model):
    segments, _ = model.transcribe(
        audio,
        beam_size=beams,
        word_timestamps=settings.get('words', False),
        language=settings['language'],
        task='transcribe',
        # The pipeline's own voice activity detection cuts the recording, as it does by default.
        **({'batch_size': batch} if batch else {}),
    )
    return ''.join(segment.text for segment in segments)


report(['faster-whisper', 'ctranslate2', 'onnxruntime'], load, transcribe)
