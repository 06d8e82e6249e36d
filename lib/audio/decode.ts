/** All samples of a recording at once. */
import { checkNumber, checkOptions, checkSignal, checkString } from '../validate.js';
import type { AudioSource } from './source.js';
import { collect } from './pcm.js';
import { audioDefaults, checkRate, openAudio, type OpenAudioOptions } from './stream.js';

export interface DecodeAudioOptions {
  /** Hertz of the result; default 16000. */
  sampleRate?: number;
  signal?: AbortSignal;
  /** Longer audio is refused with AUDIO_TOO_LARGE; default 86400, a day. */
  maxSeconds?: number;
  /** Seconds that may be spent waiting for ffmpeg; default 900. */
  timeoutSeconds?: number;
  /** Name or path of the ffmpeg program; default "ffmpeg". */
  ffmpeg?: string;
}

function resolveOptions(options: DecodeAudioOptions | undefined): OpenAudioOptions {
  checkOptions('options of decodeAudio', options, [
    'sampleRate',
    'signal',
    'maxSeconds',
    'timeoutSeconds',
    'ffmpeg',
  ]);
  const {
    sampleRate = 16_000,
    signal,
    maxSeconds = audioDefaults.maxSeconds,
    timeoutSeconds = audioDefaults.timeoutSeconds,
    ffmpeg = audioDefaults.program,
  } = options ?? {};
  return {
    sampleRate: checkRate(sampleRate),
    maxSeconds: checkNumber('maxSeconds', maxSeconds, { min: 0 }),
    timeoutSeconds: checkNumber('timeoutSeconds', timeoutSeconds, { min: 0.001, max: 86_400 }),
    program: checkString('ffmpeg', ffmpeg, 4096),
    signal: checkSignal('signal', signal),
  };
}

/**
 * Mono samples of a file, of encoded bytes or of other samples, at `sampleRate`. WAV is read by
 * voxpod itself, every other format by an ffmpeg child process. Samples that already have the rate
 * come back as they are, not copied.
 * @throws AudioError AUDIO_NOT_FOUND, AUDIO_EMPTY, AUDIO_INVALID, AUDIO_TOO_LARGE, FFMPEG_MISSING,
 * FFMPEG_FAILED; ArgumentError INVALID_ARGUMENT; the signal's reason where that aborts.
 */
export async function decodeAudio(
  source: AudioSource,
  options?: DecodeAudioOptions,
): Promise<Float32Array> {
  const resolved = resolveOptions(options);
  const stream = await openAudio(source, resolved);
  if (typeof source === 'object' && 'samples' in source) {
    if (source.sampleRate === resolved.sampleRate) {
      while ((await stream.read()) !== undefined);
      return source.samples;
    }
  }
  return collect(stream);
}
