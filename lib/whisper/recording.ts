/** A recording's features, computed as it is read, and the windows of them that are encoded. */
import { openAudio, type AudioStream } from '../audio/stream.js';
import { AudioError } from '../errors.js';
import type { EncodedWindow, FeatureStream, WhisperModel } from '../native.js';
import type { WhisperTokenizer } from '../text/tokenizer.js';
import type { Call } from '../calls.js';
import { secondsAt, windowFrames } from './segments.js';
import type { AudioSource } from '../audio/source.js';
import type { LanguageDetection } from './types.js';

export interface LoadedWhisper {
  model: WhisperModel;
  tokenizer: WhisperTokenizer;
  multilingual: boolean;
}

/**
 * Hears the 16 kHz samples in order, each block once, as they are read; `start` is the place of the
 * first. The block is valid until the promise that is returned settles.
 */
export type PcmListener = (block: Float32Array, start: number) => void | Promise<void>;

const sampleRate = 16_000;
const samplesPerFrame = 160;

/**
 * A recording that is read no further than somebody asks, in memory that does not grow with it as
 * long as what is done with is released. Calls may overlap.
 */
export class Recording {
  readonly #model: WhisperModel;
  readonly #call: Call;
  readonly #audio: AudioStream;
  readonly #features: FeatureStream;
  readonly #onPcm: PcmListener | undefined;
  /** Samples read. */
  #samples = 0;
  /** Frames whose features are there. */
  #available = 0;
  #frames: number | undefined;
  /** The block that is read now, or the failure that ended the reading. */
  #step: Promise<void> | undefined;

  private constructor(
    model: WhisperModel,
    call: Call,
    audio: AudioStream,
    onPcm: PcmListener | undefined,
  ) {
    this.#model = model;
    this.#call = call;
    this.#audio = audio;
    this.#onPcm = onPcm;
    // Also where nobody comes back for the rest, the file or process is let go with the call.
    call.hold({ dispose: () => void audio.close().catch(() => undefined) });
    this.#features = call.hold(model.features());
  }

  /**
   * What is wrong with the audio itself comes from what reads it: `ensure` and all that build on it.
   * @throws AudioError
   */
  static async open(
    model: WhisperModel,
    call: Call,
    audio: AudioSource,
    onPcm?: PcmListener,
  ): Promise<Recording> {
    const stream = await openAudio(audio, { sampleRate, signal: call.signal });
    return new Recording(model, call, stream, onPcm);
  }

  /** Frames of content, whole ones of 10 ms; undefined until the end was reached. */
  get frames(): number | undefined {
    return this.#frames;
  }

  /** Seconds; an estimate, or undefined, where only the end will tell. */
  get duration(): number | undefined {
    return this.#frames === undefined ? this.#audio.duration : this.#samples / sampleRate;
  }

  /** Whether `duration` may still change. */
  get isEstimate(): boolean {
    return this.#frames === undefined && this.#audio.isEstimate;
  }

  /** Reads until there are features up to `frame`, or to the end. */
  async ensure(frame: number): Promise<void> {
    while (this.#available < frame && this.#frames === undefined) {
      // One reads for all that wait. A failure stays, for those who come later.
      this.#step ??= this.#read().then(() => {
        this.#step = undefined;
      });
      await this.#step;
    }
  }

  /** Reads up to `frame`: the frame, or the one at which the recording ends before it. */
  async reach(frame: number): Promise<number> {
    await this.ensure(frame);
    return Math.min(frame, this.#frames ?? Infinity);
  }

  /** Seconds of the recording, for which it is read to its end where nothing else can tell. */
  async measure(): Promise<number> {
    if (this.isEstimate) {
      this.release(Infinity);
      await this.ensure(Infinity);
    }
    return this.duration ?? this.#samples / sampleRate;
  }

  /** Seconds at a frame, or of the whole recording where the frame is not before its end. */
  secondsAt(frame: number): number {
    const isBehind = this.#frames !== undefined && frame >= this.#frames;
    return isBehind ? this.#samples / sampleRate : secondsAt(frame);
  }

  /** Frames before this one will not be encoded any more. */
  release(frame: number): void {
    this.#features.dropBefore(Math.min(frame, Number.MAX_SAFE_INTEGER));
  }

  /**
   * Encodes `frames` frames from `start`, whatever lies behind the end as silence. The caller lets
   * the window go; the end of the call does so at the latest.
   */
  async encode(start: number, frames: number): Promise<EncodedWindow> {
    await this.ensure(start + this.#features.lookahead);
    return this.#call.hold(
      await this.#call.run((cancellation) =>
        this.#model.encode(this.#features, start, frames, cancellation),
      ),
    );
  }

  /** The next block. */
  async #read(): Promise<void> {
    const block = await this.#audio.read();
    this.#call.check();
    if (block === undefined) {
      if (this.#samples < samplesPerFrame) {
        throw new AudioError(
          'AUDIO_EMPTY',
          `The audio has ${this.#samples} samples at 16 kHz; the least that can be transcribed is 10 ms, ${samplesPerFrame} samples.`,
        );
      }
      this.#frames = await this.#call.run((cancellation) => this.#features.finish(cancellation));
      this.#available = this.#frames;
      return;
    }
    const [available] = await Promise.all([
      this.#call.run((cancellation) => this.#features.push(block, cancellation)),
      this.#onPcm?.(block, this.#samples),
    ]);
    this.#available = available;
    this.#samples += block.length;
  }
}

/** Encodes windows one after another; the last one is kept, for the next temperature. */
export class WindowSource {
  readonly #call: Call;
  readonly #recording: Recording;
  #last: { start: number; frames: number; encoded: EncodedWindow } | undefined;

  constructor(call: Call, recording: Recording) {
    this.#call = call;
    this.#recording = recording;
  }

  async window(start: number, frames: number): Promise<EncodedWindow> {
    const last = this.#last;
    if (last?.start === start && last.frames === frames) return last.encoded;
    this.letGo();
    const encoded = await this.#recording.encode(start, frames);
    this.#last = { start, frames, encoded };
    return encoded;
  }

  letGo(): void {
    if (this.#last !== undefined) this.#call.letGo(this.#last.encoded);
    this.#last = undefined;
  }
}

/**
 * The language of a window, by default of the first: the reference detects on 30 s of audio and
 * silence, while it transcribes short windows padded with zeros.
 */
export async function detectLanguage(
  { model, tokenizer }: LoadedWhisper,
  call: Call,
  windows: WindowSource,
  start = 0,
  frames = windowFrames,
): Promise<LanguageDetection> {
  const window = await windows.window(start, frames);
  const codes = [...tokenizer.languages.keys()];
  const tokens = Int32Array.from(tokenizer.languages.values());
  const { startOfTranscript } = tokenizer.special;
  const found = await call.run((cancellation) =>
    model.detectLanguage(window, startOfTranscript, tokens, cancellation),
  );
  const ranked = codes.map((code, i): [string, number] => [code, found[i] ?? 0]);
  const [language, probability] = ranked.reduce((best, next) => (next[1] > best[1] ? next : best));
  return { language, probability, probabilities: Object.fromEntries(ranked) };
}
