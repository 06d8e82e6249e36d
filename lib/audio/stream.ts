/** Turns whatever a caller calls audio into a stream of mono samples at the rate a model wants. */
import { stat } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fromNative, loadNative } from '../binding.js';
import { AudioError, invalidArgument, messageOf } from '../errors.js';
import type { Resampler } from '../native.js';
import { checkNumber } from '../validate.js';
import type { AudioSource } from './source.js';
import { openFfmpeg } from './ffmpeg.js';
import type { FfmpegOptions } from './ffmpeg_decoder.js';
import { freeArray } from './free.js';
import { tooLong } from './limits.js';
import { samplesSource, type PcmSource } from './pcm.js';
import { fileReader, memoryReader, type ByteReader } from './reader.js';
import { openWav } from './wav.js';
import { looksLikeWav } from './wav_header.js';

export type OpenAudioOptions = Pick<FfmpegOptions, 'sampleRate' | 'signal'> &
  Partial<Pick<FfmpegOptions, 'maxSeconds' | 'timeoutSeconds' | 'program'>> & {
    /** WAV and samples keep the rate that they have; `sampleRate` is then that of all others. */
    keepRate?: boolean;
  };

export const audioDefaults = { maxSeconds: 86_400, timeoutSeconds: 900, program: 'ffmpeg' };

const minRate = 1000;
const maxRate = 768_000;

export function checkRate(rate: number): number {
  return checkNumber('sampleRate', rate, { min: minRate, max: maxRate, integer: true });
}

/** Far above any scale that samples come in, and safe to square in float32. */
const loudest = 1e9;

/** `place` is that of the first sample. */
function checkSamples(samples: Float32Array, place: number): void {
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i] ?? 0;
    // Written so that NaN fails too.
    if (Math.abs(sample) <= loudest) continue;
    throw new AudioError(
      'AUDIO_INVALID',
      `Sample ${place + i} of the audio is ${sample}; samples are numbers between -1 and 1.`,
    );
  }
}

/** Mono samples at one rate, checked, in blocks. */
export class AudioStream {
  readonly #source: PcmSource;
  readonly #rate: number;
  readonly #signal: AbortSignal | undefined;
  #resampler: Resampler | undefined;
  /** Of the source. */
  #samples = 0;
  #isFinished = false;
  #made: Float32Array | undefined;

  constructor(source: PcmSource, rate: number, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#rate = rate;
    this.#signal = signal;
    if (source.sampleRate === rate) return;
    const native = loadNative();
    this.#resampler = new native.Resampler(source.sampleRate, rate);
  }

  /** Hertz of what is read. */
  get sampleRate(): number {
    return this.#rate;
  }

  /** Seconds; undefined where nothing says how long the audio is. What is read is what counts. */
  get duration(): number | undefined {
    const { samples, sampleRate, estimatedSeconds } = this.#source;
    if (samples === undefined) return estimatedSeconds;
    return Math.ceil((samples * this.#rate) / sampleRate) / this.#rate;
  }

  /** Whether the duration is only what the file says of itself. */
  get isEstimate(): boolean {
    return this.#source.samples === undefined;
  }

  /**
   * The next block, of bounded size; undefined at the end. It is valid until the next call. One call
   * at a time. The stream is closed with its end and with any failure.
   * @throws AudioError AUDIO_EMPTY, AUDIO_INVALID, AUDIO_TOO_LARGE, FFMPEG_MISSING, FFMPEG_FAILED;
   * the signal's reason where that aborts.
   */
  async read(): Promise<Float32Array | undefined> {
    try {
      for (;;) {
        const block = await this.#next();
        if (block === undefined) break;
        if (block.length > 0) return block;
      }
    } catch (error) {
      await this.close();
      this.#signal?.throwIfAborted();
      throw fromNative(error);
    }
    await this.close();
    return undefined;
  }

  /** Lets go of the file or process; a `read` that waits rejects. May be called again. */
  close(): Promise<void> {
    return this.#source.close();
  }

  async #next(): Promise<Float32Array | undefined> {
    if (this.#made !== undefined) freeArray(this.#made);
    this.#made = undefined;
    if (this.#isFinished) return undefined;
    this.#signal?.throwIfAborted();
    const block = await this.#source.read();
    this.#signal?.throwIfAborted();
    if (block === undefined) {
      this.#isFinished = true;
      if (this.#samples === 0) {
        throw new AudioError('AUDIO_EMPTY', 'The audio decodes to no samples at all.');
      }
      this.#made = await this.#resampler?.finish();
      return this.#made;
    }
    checkSamples(block, this.#samples);
    this.#samples += block.length;
    // A block is a millisecond of work.
    await nextTurn();
    if (this.#resampler === undefined) return block;
    this.#made = await this.#resampler.push(block);
    this.#signal?.throwIfAborted();
    return this.#made;
  }
}

async function openBytes(bytes: Uint8Array, options: FfmpegOptions): Promise<PcmSource> {
  if (bytes.length === 0) throw new AudioError('AUDIO_EMPTY', 'The audio has no bytes.');
  const wav = looksLikeWav(bytes) ? await openWav(memoryReader(bytes), options) : undefined;
  return wav ?? openFfmpeg(bytes, options);
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

async function openFile(path: string, options: FfmpegOptions): Promise<PcmSource> {
  let reader: ByteReader;
  try {
    const status = await stat(path);
    if (status.isDirectory()) {
      throw new AudioError('AUDIO_INVALID', `${path} is a folder, not an audio file.`);
    }
    // A named pipe can be read once only, so ffmpeg gets all of it.
    if (!status.isFile()) return await openFfmpeg(path, options);
    if (status.size === 0) throw new AudioError('AUDIO_EMPTY', `${path} is an empty file.`);
    reader = await fileReader(path);
  } catch (error) {
    if (error instanceof AudioError) throw error;
    options.signal?.throwIfAborted();
    throw notFound(path, error);
  }
  let wav: PcmSource | undefined;
  try {
    const start = await reader.read(12);
    if (looksLikeWav(start)) {
      reader.skip(-start.length);
      wav = await openWav(reader, options);
    }
  } finally {
    if (wav === undefined) await reader.close();
  }
  return wav ?? openFfmpeg(path, options);
}

function openSamples(
  { samples, sampleRate }: { samples: Float32Array; sampleRate: number },
  { maxSeconds }: FfmpegOptions,
): PcmSource {
  if (!(samples instanceof Float32Array)) {
    throw invalidArgument('samples', 'a Float32Array', samples);
  }
  checkRate(sampleRate);
  if (samples.length === 0) throw new AudioError('AUDIO_EMPTY', 'The audio has no samples.');
  if (samples.length > maxSeconds * sampleRate) {
    throw tooLong(samples.length / sampleRate, maxSeconds);
  }
  return samplesSource(samples, sampleRate);
}

function openSource(source: AudioSource, options: FfmpegOptions): Promise<PcmSource> | PcmSource {
  if (typeof source === 'string') {
    if (source === '') throw invalidArgument('audio', 'the path of a file', source);
    return openFile(source, options);
  }
  if (source instanceof Uint8Array) return openBytes(source, options);
  if (typeof source === 'object' && source !== null && 'samples' in source) {
    return openSamples(source, options);
  }
  throw invalidArgument('audio', 'a path, a Uint8Array or { samples, sampleRate }', source);
}

/**
 * Opens a file, encoded bytes or samples. WAV is read by voxpod itself, every other format by an
 * ffmpeg child process, both as fast as the stream is read. Samples that have the rate are not
 * copied.
 * @throws AudioError AUDIO_NOT_FOUND, AUDIO_EMPTY, AUDIO_INVALID, AUDIO_TOO_LARGE; ArgumentError
 * INVALID_ARGUMENT; the signal's reason where that aborts. Reading throws the rest.
 */
export async function openAudio(
  source: AudioSource,
  options: OpenAudioOptions,
): Promise<AudioStream> {
  const { sampleRate, signal } = options;
  signal?.throwIfAborted();
  const opened = await openSource(source, { ...audioDefaults, ...options });
  try {
    signal?.throwIfAborted();
    const rate = options.keepRate === true ? opened.sampleRate : sampleRate;
    return new AudioStream(opened, rate, signal);
  } catch (error) {
    await opened.close();
    throw error;
  }
}
