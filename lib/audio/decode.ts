/** Turns whatever a caller calls audio into mono samples at the rate a model wants. */
import { stat } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fromNative, loadNative } from '../binding.js';
import { AudioError, invalidArgument, messageOf } from '../errors.js';
import { checkNumber, checkOptions, checkSignal, checkString } from '../validate.js';
import type { AudioSource } from '../whisper/types.js';
import { decodeWithFfmpeg, type FfmpegOptions } from './ffmpeg.js';
import { freeArray } from './free.js';
import { fileReader, memoryReader, type ByteReader } from './reader.js';
import { looksLikeWav } from './wav_header.js';
import { readWav, tooLong, type Pcm } from './wav.js';

export interface DecodeAudioOptions {
  /** Hertz of the result; default 16000. */
  sampleRate?: number;
  signal?: AbortSignal;
  /** Longer audio is refused with AUDIO_TOO_LARGE; default 86400, a day. */
  maxSeconds?: number;
  /** Wall time that ffmpeg gets for a file; default 900. */
  timeoutSeconds?: number;
  /** Name or path of the ffmpeg program; default "ffmpeg". */
  ffmpeg?: string;
}

const minRate = 1000;
const maxRate = 768_000;
/** Samples looked at before others get a turn: about a millisecond of work. */
const sliceSamples = 1 << 19;
/** Far above any scale that samples come in, and safe to square in float32. */
const loudest = 1e9;

function resolveOptions(options: DecodeAudioOptions | undefined): FfmpegOptions {
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
    maxSeconds = 86_400,
    timeoutSeconds = 900,
    ffmpeg = 'ffmpeg',
  } = options ?? {};
  return {
    sampleRate: checkNumber('sampleRate', sampleRate, {
      min: minRate,
      max: maxRate,
      integer: true,
    }),
    maxSeconds: checkNumber('maxSeconds', maxSeconds, { min: 0 }),
    timeoutSeconds: checkNumber('timeoutSeconds', timeoutSeconds, { min: 0.001, max: 86_400 }),
    program: checkString('ffmpeg', ffmpeg, 4096),
    signal: checkSignal('signal', signal),
  };
}

async function checkSamples(samples: Float32Array, signal?: AbortSignal): Promise<void> {
  for (let start = 0; start < samples.length; start += sliceSamples) {
    const end = Math.min(samples.length, start + sliceSamples);
    for (let i = start; i < end; i++) {
      const sample = samples[i] ?? 0;
      // Written so that NaN fails too.
      if (Math.abs(sample) <= loudest) continue;
      throw new AudioError(
        'AUDIO_INVALID',
        `Sample ${i} of the audio is ${sample}; samples are numbers between -1 and 1.`,
      );
    }
    signal?.throwIfAborted();
    if (end < samples.length) await nextTurn();
  }
}

/** `own` says that nobody else has the samples, which are then freed where others take their place. */
async function atRate(pcm: Pcm, options: FfmpegOptions, own: boolean): Promise<Float32Array> {
  const { signal, sampleRate } = options;
  await checkSamples(pcm.samples, signal);
  if (pcm.sampleRate === sampleRate) return pcm.samples;
  try {
    const resampled = await loadNative().resample(pcm.samples, pcm.sampleRate, sampleRate);
    signal?.throwIfAborted();
    return resampled;
  } catch (error) {
    signal?.throwIfAborted();
    throw fromNative(error);
  } finally {
    if (own) freeArray(pcm.samples);
  }
}

async function decodeBytes(bytes: Uint8Array, options: FfmpegOptions): Promise<Float32Array> {
  if (bytes.length === 0) throw new AudioError('AUDIO_EMPTY', 'The audio has no bytes.');
  if (looksLikeWav(bytes)) {
    const pcm = await readWav(memoryReader(bytes), options);
    if (pcm !== undefined) return atRate(pcm, options, true);
  }
  return decodeWithFfmpeg({ bytes }, options);
}

function notFound(path: string, cause: unknown): AudioError {
  const hint = /^[a-z][a-z0-9+.-]*:\/\//i.test(path)
    ? ' Addresses are not fetched here: download the file first.'
    : '';
  return new AudioError(
    'AUDIO_NOT_FOUND',
    `Cannot read the audio file ${path} (${messageOf(cause)}).${hint}`,
    { cause },
  );
}

async function decodeFile(path: string, options: FfmpegOptions): Promise<Float32Array> {
  let reader: ByteReader;
  try {
    const status = await stat(path);
    if (status.isDirectory()) {
      throw new AudioError('AUDIO_INVALID', `${path} is a folder, not an audio file.`);
    }
    // A named pipe can be read once only, so ffmpeg gets all of it.
    if (!status.isFile()) return await decodeWithFfmpeg({ path }, options);
    if (status.size === 0) throw new AudioError('AUDIO_EMPTY', `${path} is an empty file.`);
    reader = await fileReader(path);
  } catch (error) {
    if (error instanceof AudioError) throw error;
    options.signal?.throwIfAborted();
    throw notFound(path, error);
  }
  try {
    const start = await reader.read(12);
    if (looksLikeWav(start)) {
      reader.skip(-start.length);
      const pcm = await readWav(reader, options);
      if (pcm !== undefined) return await atRate(pcm, options, true);
    }
  } finally {
    await reader.close();
  }
  return decodeWithFfmpeg({ path }, options);
}

async function decodeSamples(
  source: { samples: Float32Array; sampleRate: number },
  options: FfmpegOptions,
): Promise<Float32Array> {
  const { samples, sampleRate } = source;
  if (!(samples instanceof Float32Array)) {
    throw invalidArgument('samples', 'a Float32Array', samples);
  }
  checkNumber('sampleRate', sampleRate, { min: minRate, max: maxRate, integer: true });
  if (samples.length === 0) throw new AudioError('AUDIO_EMPTY', 'The audio has no samples.');
  if (samples.length > options.maxSeconds * sampleRate) {
    throw tooLong(samples.length / sampleRate, options.maxSeconds);
  }
  return atRate({ samples, sampleRate }, options, false);
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
  resolved.signal?.throwIfAborted();
  if (typeof source === 'string') {
    if (source === '') throw invalidArgument('audio', 'the path of a file', source);
    return decodeFile(source, resolved);
  }
  if (source instanceof Uint8Array) return decodeBytes(source, resolved);
  if (typeof source === 'object' && source !== null && 'samples' in source) {
    return decodeSamples(source, resolved);
  }
  throw invalidArgument('audio', 'a path, a Uint8Array or { samples, sampleRate }', source);
}
