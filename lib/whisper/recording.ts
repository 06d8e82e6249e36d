/** A recording's features, and the windows of them that are encoded. */
import { decodeAudio } from '../audio/decode.js';
import { freeArray } from '../audio/free.js';
import { AudioError } from '../errors.js';
import type { EncodedWindow, LogMel, WhisperModel } from '../native.js';
import type { WhisperTokenizer } from '../text/tokenizer.js';
import type { Call } from './calls.js';
import { windowFrames } from './segments.js';
import type { AudioSource, LanguageDetection } from './types.js';

export interface LoadedWhisper {
  model: WhisperModel;
  tokenizer: WhisperTokenizer;
  multilingual: boolean;
}

const sampleRate = 16_000;
const samplesPerFrame = 160;

/** A recording's features, and the window of them that was encoded last. */
export class Recording {
  /** Seconds. */
  readonly duration: number;
  /** Frames of content: whole ones, 10 ms each. */
  readonly frames: number;
  readonly #model: WhisperModel;
  readonly #call: Call;
  readonly #features: LogMel;
  #window: { start: number; frames: number; encoded: EncodedWindow } | undefined;

  private constructor(model: WhisperModel, call: Call, features: LogMel, samples: number) {
    this.#model = model;
    this.#call = call;
    this.#features = features;
    this.duration = samples / sampleRate;
    this.frames = Math.floor(samples / samplesPerFrame);
  }

  /**
   * `fullWindow` pads a short recording to a window with silence.
   * @throws AudioError
   */
  static async open(
    model: WhisperModel,
    call: Call,
    audio: AudioSource,
    fullWindow: boolean,
  ): Promise<Recording> {
    const samples = await decodeAudio(audio, { sampleRate, signal: call.signal });
    if (samples.length < samplesPerFrame) {
      throw new AudioError(
        'AUDIO_EMPTY',
        `The audio has ${samples.length} samples at 16 kHz; the least that can be transcribed is 10 ms, ${samplesPerFrame} samples.`,
      );
    }
    let pcm = samples;
    const windowSamples = windowFrames * samplesPerFrame;
    if (fullWindow && pcm.length < windowSamples) {
      pcm = new Float32Array(windowSamples);
      pcm.set(samples);
    }
    const count = samples.length;
    let features: LogMel;
    try {
      features = await call.run((cancellation) => model.logMel(pcm, cancellation));
    } finally {
      // The caller's own samples stay as they are.
      const callers = typeof audio === 'object' && 'samples' in audio ? audio.samples : undefined;
      if (pcm !== callers) freeArray(pcm);
    }
    return new Recording(model, call, call.hold(features), count);
  }

  /** Encodes `frames` frames from `start`; the last one is kept, for the next temperature. */
  async window(start: number, frames: number): Promise<EncodedWindow> {
    const last = this.#window;
    if (last?.start === start && last.frames === frames) return last.encoded;
    if (last !== undefined) this.#call.letGo(last.encoded);
    this.#window = undefined;
    const encoded = this.#call.hold(
      await this.#call.run((cancellation) =>
        this.#model.encode(this.#features, start, frames, cancellation),
      ),
    );
    this.#window = { start, frames, encoded };
    return encoded;
  }
}

/**
 * The language of the first window. The recording was opened with a full window: the reference
 * detects on 30 s of audio and silence, while it transcribes short windows padded with zeros.
 */
export async function detectLanguage(
  { model, tokenizer }: LoadedWhisper,
  call: Call,
  recording: Recording,
): Promise<LanguageDetection> {
  const window = await recording.window(0, windowFrames);
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
