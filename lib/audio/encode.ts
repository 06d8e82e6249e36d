/** Samples to the bytes of a sound file, all at once or as they come. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fromNative, loadNative } from '../binding.js';
import { ArgumentError, AudioError, invalidArgument } from '../errors.js';
import type { Resampler } from '../native.js';
import { checkNumber, checkOneOf, checkOptions, checkSignal, checkString } from '../validate.js';
import { FfmpegEncoder, encoderRates } from './ffmpeg_encoder.js';
import { completeFlacHead, flacHeadBytes } from './flac_head.js';
import { blockSamples } from './pcm.js';
import { toInt16 } from './silence.js';
import { audioDefaults } from './stream.js';
import { wavHead } from './wav_writer.js';

/** Formats of sound with their media types and the extensions of their files. */
export const audioFormats = {
  wav: { mime: 'audio/wav', extension: 'wav' },
  mp3: { mime: 'audio/mpeg', extension: 'mp3' },
  /** In an Ogg file (RFC 7845). */
  opus: { mime: 'audio/ogg', extension: 'opus' },
  flac: { mime: 'audio/flac', extension: 'flac' },
  /** 16 bits, little-endian, without any header. */
  pcm: { mime: 'audio/pcm', extension: 'pcm' },
} as const;

export type AudioFormat = keyof typeof audioFormats;

const formatNames = Object.keys(audioFormats) as AudioFormat[];

export interface EncodeAudioOptions {
  /** Default "wav". All but wav and pcm need ffmpeg. */
  format?: AudioFormat;
  /** Hertz of the samples; default 24000. */
  inputRate?: number;
  /**
   * Hertz of the file, 8000 to 48000; default `inputRate`. mp3 knows 8000, 11025, 12000, 16000,
   * 22050, 24000, 32000, 44100 and 48000. Opus is played at 48000 whatever went in; it takes the
   * next rate above that it knows.
   */
  sampleRate?: number;
  /** Of a wav: 16-bit integers (default) or floats, which are not clipped. */
  sampleType?: 'int16' | 'float32';
  signal?: AbortSignal;
  /** Seconds that may be spent waiting for ffmpeg; default 900. */
  timeoutSeconds?: number;
  /** Name or path of the ffmpeg program; default "ffmpeg". */
  ffmpeg?: string;
}

/** Encodes samples as they come. Calls are done in the order in which they come. */
export interface AudioEncoder {
  readonly format: AudioFormat;
  /** Hertz of the file. */
  readonly sampleRate: number;
  /**
   * Takes the next samples, mono between -1 and 1; what lies beyond is clipped. Gives the bytes of
   * the file that are ready, which may be none. The array must not change before the promise
   * settles.
   * @throws AudioError AUDIO_INVALID (samples that are no numbers), FFMPEG_MISSING, FFMPEG_FAILED;
   * ArgumentError INVALID_ARGUMENT; the signal's reason where that aborts. The encoder is then closed.
   */
  write(samples: Float32Array): Promise<Uint8Array>;
  /** The rest of the file. @throws the same, and AudioError AUDIO_EMPTY where nothing was written. */
  finish(): Promise<Uint8Array>;
  /**
   * Once `finish` has resolved: what the file's first bytes are to be, now that its length is known,
   * for who can write there again. Empty where they stay as they are.
   */
  readonly finalHead: Uint8Array;
  /** Ends the program where there is one; needed only where `finish` is not called. */
  close(): Promise<void>;
}

interface Resolved {
  format: AudioFormat;
  inputRate: number;
  sampleRate: number;
  sampleType: 'int16' | 'float32';
  signal: AbortSignal | undefined;
  timeoutSeconds: number;
  program: string;
  /** Whether bytes are wanted as soon as they can be had. */
  settle: boolean;
}

function resolve(options: EncodeAudioOptions | undefined): Resolved {
  checkOptions('options of the encoder', options, [
    'format',
    'inputRate',
    'sampleRate',
    'sampleType',
    'signal',
    'timeoutSeconds',
    'ffmpeg',
  ]);
  const {
    format = 'wav',
    inputRate = 24_000,
    sampleRate = inputRate,
    sampleType = 'int16',
    signal,
    timeoutSeconds = audioDefaults.timeoutSeconds,
    ffmpeg = audioDefaults.program,
  } = options ?? {};
  checkOneOf('format', format, formatNames);
  const rule = { min: 8000, max: 48_000, integer: true };
  checkNumber('sampleRate', sampleRate, rule);
  if (checkOneOf('sampleType', sampleType, ['int16', 'float32']) === 'float32') {
    if (format !== 'wav') {
      throw new ArgumentError('INVALID_ARGUMENT', `float32 is for wav alone, not for ${format}.`);
    }
  }
  return {
    format,
    inputRate: checkNumber('inputRate', inputRate, { min: 1000, max: 768_000, integer: true }),
    sampleRate: rateOf(format, sampleRate),
    sampleType,
    signal: checkSignal('signal', signal),
    timeoutSeconds: checkNumber('timeoutSeconds', timeoutSeconds, { min: 0.001, max: 86_400 }),
    program: checkString('ffmpeg', ffmpeg, 4096),
    settle: true,
  };
}

/** The rate that the format has for the one that is wanted. */
function rateOf(format: AudioFormat, wanted: number): number {
  const known = format === 'wav' || format === 'pcm' ? undefined : encoderRates[format];
  if (known === undefined || known.includes(wanted)) return wanted;
  if (format === 'opus') return known.find((rate) => rate > wanted) ?? 48_000;
  throw invalidArgument(`sampleRate of ${format}`, `one of ${known.join(', ')}`, wanted);
}

class Encoder implements AudioEncoder {
  readonly format: AudioFormat;
  readonly sampleRate: number;
  readonly #options: Resolved;
  readonly #resampler: Resampler | undefined;
  /** MD5 of the samples of a flac. */
  readonly #digest = createHash('md5');
  #ffmpeg: FfmpegEncoder | undefined;
  /** What comes before the samples, until it was given. */
  #head: Uint8Array = new Uint8Array(0);
  /** The file's first bytes, as many as a flac's head has. */
  #start: Uint8Array = new Uint8Array(0);
  /** Samples that came so far, and that were encoded. */
  #came = 0;
  #encoded = 0;
  finalHead: Uint8Array = new Uint8Array(0);
  #isClosed = false;
  /** Settles with the call before. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: Resolved) {
    const { format, inputRate, sampleRate, sampleType } = options;
    this.#options = options;
    this.format = format;
    this.sampleRate = sampleRate;
    if (format === 'wav') this.#head = wavHead({ sampleRate, sampleType, samples: undefined });
    if (inputRate === sampleRate) return;
    const native = loadNative();
    this.#resampler = new native.Resampler(inputRate, sampleRate);
  }

  write(samples: Float32Array): Promise<Uint8Array> {
    return this.#queue(async () => {
      this.#check(samples);
      this.#came += samples.length;
      return this.#encode((await this.#resampler?.push(samples)) ?? samples);
    });
  }

  finish(): Promise<Uint8Array> {
    return this.#queue(async () => {
      if (this.#came === 0) {
        throw new AudioError('AUDIO_EMPTY', 'There are no samples to encode.');
      }
      const start = await this.#encode((await this.#resampler?.finish()) ?? new Float32Array(0));
      const rest = (await this.#ffmpeg?.finish()) ?? new Uint8Array(0);
      this.#isClosed = true;
      this.#keepStart(rest);
      this.finalHead = this.#completeHead();
      return Buffer.concat([start, rest]);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#ffmpeg?.close();
  }

  async #queue(work: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const call = this.#last.then(async () => {
      if (this.#isClosed) {
        throw new ArgumentError('INVALID_ARGUMENT', 'The encoder has ended: open another.');
      }
      try {
        this.#options.signal?.throwIfAborted();
        return await work();
      } catch (error) {
        await this.close();
        this.#options.signal?.throwIfAborted();
        throw fromNative(error);
      }
    });
    this.#last = call.catch(() => undefined);
    return await call;
  }

  #check(samples: Float32Array): void {
    if (!(samples instanceof Float32Array)) {
      throw invalidArgument('samples', 'a Float32Array', samples);
    }
    for (let i = 0; i < samples.length; i++) {
      if (Number.isFinite(samples[i])) continue;
      throw new AudioError(
        'AUDIO_INVALID',
        `Sample ${this.#came + i} is ${samples[i] ?? NaN}, which is no sound.`,
      );
    }
  }

  async #encode(samples: Float32Array): Promise<Uint8Array> {
    const { format, sampleType, program, timeoutSeconds, signal, settle } = this.#options;
    this.#encoded += samples.length;
    if (sampleType === 'float32') return this.#plain(samples);
    const integers = new Int16Array(samples.length);
    for (let i = 0; i < samples.length; i++) integers[i] = toInt16(samples[i] ?? 0);
    if (format === 'wav' || format === 'pcm') return this.#plain(integers);
    const { sampleRate } = this;
    this.#ffmpeg ??= new FfmpegEncoder({ format, sampleRate, program, timeoutSeconds, signal });
    if (format === 'flac') {
      this.#digest.update(new Uint8Array(integers.buffer));
    }
    const bytes = await this.#ffmpeg.write(integers, settle);
    this.#keepStart(bytes);
    return bytes;
  }

  #keepStart(bytes: Uint8Array): void {
    const missing = flacHeadBytes - this.#start.length;
    if (missing > 0) this.#start = Buffer.concat([this.#start, bytes.subarray(0, missing)]);
  }

  #completeHead(): Uint8Array {
    const { sampleRate } = this;
    const { format, sampleType } = this.#options;
    const samples = this.#encoded;
    if (format === 'wav') return wavHead({ sampleRate, sampleType, samples });
    if (format !== 'flac') return new Uint8Array(0);
    return completeFlacHead(this.#start, samples, this.#digest.digest());
  }

  /** The bytes of samples as they are in memory: all machines that voxpod knows are little-endian. */
  #plain({ buffer, byteOffset, byteLength }: Int16Array | Float32Array): Uint8Array {
    const bytes = Buffer.concat([this.#head, new Uint8Array(buffer, byteOffset, byteLength)]);
    this.#head = new Uint8Array(0);
    return bytes;
  }
}

/**
 * An encoder for samples that come in pieces. A wav says that its length is unknown, and a flac has
 * neither length nor MD5, until `finalHead` is written over their beginning. Put together, the bytes are the same however the samples were cut.
 * @throws ArgumentError INVALID_ARGUMENT; NativeError where another rate needs the addon
 */
export function openEncoder(options?: EncodeAudioOptions): AudioEncoder {
  return new Encoder(resolve(options));
}

/**
 * The whole file of mono samples, with its length in its head. The same samples give the same bytes
 * on one machine.
 * @throws what AudioEncoder's write and finish throw
 */
export async function encodeAudio(
  samples: Float32Array,
  options?: EncodeAudioOptions,
): Promise<Uint8Array> {
  if (!(samples instanceof Float32Array))
    throw invalidArgument('samples', 'a Float32Array', samples);
  const encoder = new Encoder({ ...resolve(options), settle: false });
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < samples.length; at += blockSamples) {
    pieces.push(await encoder.write(samples.subarray(at, at + blockSamples)));
    await nextTurn();
  }
  const file = Buffer.concat([...pieces, await encoder.finish()]);
  file.set(encoder.finalHead);
  return file;
}
