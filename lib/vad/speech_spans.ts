/** From a stream of probabilities to spans of speech. */
import { resolveVadOptions } from './defaults.js';
import {
  vadRate,
  vadWindow,
  type SpeechDetector,
  type SpeechSpan,
  type VadOptions,
} from './types.js';

/** Silence within a span at which a span that grows too long is cut: longer than 98 ms. */
const cutSilence = 0.098 * vadRate;

/**
 * The state machine of silero-vad's get_speech_timestamps as faster-whisper 1.2.1 has it
 * (faster_whisper/vad.py), with two differences: it gives a span as soon as nothing can change it any
 * more, and it cuts speech that grows too long without any silence where it is least certain, not
 * wherever it happens to be. Inside, all is in samples.
 */
export class SpeechSpans {
  readonly #options: Required<VadOptions>;
  readonly #pad: number;
  readonly #minSpeech: number;
  readonly #minSilence: number;
  readonly #maxSpeech: number;
  /** Windows seen. */
  #windows = 0;
  /** Where the span that is heard now began. */
  #start: number | undefined;
  /** The same, padded, once it is certain that the span will count. */
  #paddedStart: number | undefined;
  /** Where the silence within the span began that may end it. */
  #silence: number | undefined;
  /** A silence that the span can be cut at, and where speech went on behind it. */
  #cut: { end: number; next: number | undefined } | undefined;
  /** The same for the window of least probability in the later half of what a span may last. */
  #weakest: { end: number; next: number | undefined; probability: number } | undefined;
  /** The span before, whose end depends on how far the next one is: start padded, end not. */
  #before: { start: number; end: number } | undefined;

  /** @throws ArgumentError INVALID_ARGUMENT */
  constructor(options?: VadOptions) {
    this.#options = resolveVadOptions(options);
    const { minSpeech, minSilence, maxSpeech, speechPad } = this.#options;
    this.#pad = speechPad * vadRate;
    this.#minSpeech = minSpeech * vadRate;
    this.#minSilence = minSilence * vadRate;
    this.#maxSpeech = maxSpeech * vadRate - vadWindow - 2 * this.#pad;
  }

  /** Takes the probabilities of the windows that follow; gives the spans that are final now. */
  push(probabilities: Float32Array): SpeechSpan[] {
    const out: SpeechSpan[] = [];
    for (const probability of probabilities) {
      const at = this.#windows * vadWindow;
      this.#advance(probability, at, out);
      this.#settle(at, out);
      this.#windows++;
    }
    return out;
  }

  /** The rest, given how many samples the recording had. */
  finish(samples: number): SpeechSpan[] {
    const out: SpeechSpan[] = [];
    if (this.#start !== undefined && samples - this.#start > this.#minSpeech) {
      this.#close(this.#start, samples, out);
    }
    this.#start = undefined;
    if (this.#before !== undefined) {
      const { start, end } = this.#before;
      out.push(span(start, Math.trunc(Math.min(samples, end + this.#pad))));
      this.#before = undefined;
    }
    return out;
  }

  /** The window from sample `at` on. */
  #advance(probability: number, at: number, out: SpeechSpan[]): void {
    const { threshold, negativeThreshold } = this.#options;
    const isSpeech = probability >= threshold;
    if (isSpeech && this.#silence !== undefined) {
      this.#silence = undefined;
      if (this.#cut !== undefined) this.#cut.next ??= at;
    }
    if (this.#start === undefined) {
      if (isSpeech) this.#start = at;
      return;
    }
    if (at - this.#start > this.#maxSpeech) {
      const cut = this.#cut ?? this.#weakest;
      this.#close(this.#start, cut?.end ?? at, out);
      this.#begin(cut?.next);
    } else if (at - this.#start > this.#maxSpeech / 2) {
      this.#weigh(probability, isSpeech, at);
    }
    if (this.#start === undefined || probability >= negativeThreshold) return;
    this.#silence ??= at;
    const silence = at - this.#silence;
    if (silence > cutSilence) this.#cut = { end: this.#silence, next: undefined };
    if (silence < this.#minSilence) return;
    if (this.#silence - this.#start > this.#minSpeech) {
      this.#close(this.#start, this.#silence, out);
    }
    this.#begin(undefined);
  }

  #weigh(probability: number, isSpeech: boolean, at: number): void {
    if (probability < (this.#weakest?.probability ?? Infinity)) {
      const end = at + vadWindow / 2;
      this.#weakest = { end, next: isSpeech ? end : undefined, probability };
    } else if (isSpeech && this.#weakest !== undefined) {
      this.#weakest.next ??= at;
    }
  }

  #begin(start: number | undefined): void {
    this.#start = start;
    this.#paddedStart = undefined;
    this.#silence = undefined;
    this.#cut = undefined;
    this.#weakest = undefined;
  }

  /** A span that counts has ended. */
  #close(start: number, end: number, out: SpeechSpan[]): void {
    this.#before = { start: this.#paddedStart ?? this.#meet(start, out), end };
  }

  /** Ends the span before one that surely begins at `start`, and pads that. */
  #meet(start: number, out: SpeechSpan[]): number {
    const before = this.#before;
    this.#before = undefined;
    const silence = before === undefined ? Infinity : start - before.end;
    const close = silence < 2 * this.#pad;
    const padding = close ? Math.floor(silence / 2) : this.#pad;
    if (before !== undefined) out.push(span(before.start, Math.trunc(before.end + padding)));
    return Math.trunc(Math.max(0, start - padding));
  }

  /** Gives the span before as soon as no later window can change it. */
  #settle(at: number, out: SpeechSpan[]): void {
    if (this.#start === undefined) {
      // Measured from this window's start: the recording may end within it.
      if (this.#before === undefined || at - this.#before.end < 2 * this.#pad) return;
      const { start, end } = this.#before;
      out.push(span(start, Math.trunc(end + this.#pad)));
      this.#before = undefined;
    } else if (
      this.#paddedStart === undefined &&
      // The recording has a sample of this window at least.
      (this.#silence ?? at + 1) - this.#start > this.#minSpeech
    ) {
      this.#paddedStart = this.#meet(this.#start, out);
    }
  }
}

function span(start: number, end: number): SpeechSpan {
  return { start: start / vadRate, end: end / vadRate };
}

/**
 * Spans of speech in a recording that comes in pieces (mono, 16 kHz), each as soon as it is final.
 * @throws ArgumentError INVALID_ARGUMENT; what the detector or the pieces throw; the signal's reason
 */
export async function* detectSpeech(
  detector: SpeechDetector,
  pieces: Iterable<Float32Array> | AsyncIterable<Float32Array>,
  options?: VadOptions,
  signal?: AbortSignal,
): AsyncGenerator<SpeechSpan, void, undefined> {
  const spans = new SpeechSpans(options);
  const stream = detector.stream(signal);
  let samples = 0;
  for await (const piece of pieces) {
    samples += piece.length;
    yield* spans.push(await stream.push(piece));
  }
  yield* spans.push(await stream.finish());
  yield* spans.finish(samples);
}
