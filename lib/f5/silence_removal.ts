/**
 * Long silence taken out of speech as it comes, as f5-tts's remove_silence_for_generated_wav does
 * (f5_tts/infer/utils_infer.py): of silence of a second and more, half a second stays on either side
 * of it; at the beginning and at the end, half a second in all.
 */
import { concatenate } from '../audio/pcm.js';
import { LevelMeter, levelOf } from '../audio/silence.js';

/** Milliseconds. */
const window = 1000;
const kept = 500;
const step = 10;
/** Decibels relative to full scale. */
const threshold = -50;

/**
 * Takes mono samples piece by piece and gives those that stay as soon as that is certain: half a
 * second later. It equals pydub's split_on_silence on the whole, save that a last millisecond that
 * is not complete stays as it is.
 */
export class SilenceRemover {
  readonly #meter: LevelMeter;
  readonly #level = levelOf(threshold);
  /** Samples not yet given, and the place of the first. */
  #held: Float32Array = new Float32Array(0);
  #from = 0;
  /** Millisecond of the next window. */
  #next = 0;
  /** The silence that may go on, in milliseconds. */
  #silence: { start: number; end: number } | undefined;

  /** `sampleRate`: hertz. */
  constructor(sampleRate = 24_000) {
    this.#meter = new LevelMeter(sampleRate);
  }

  push(samples: Float32Array): Float32Array {
    this.#meter.push(samples);
    this.#held = concatenate([this.#held, samples]);
    const out: Float32Array[] = [];
    // The last window may end between two steps, and then is one more: it is left to `finish`.
    while (this.#meter.frameAt(this.#next + window) <= this.#meter.frames) {
      this.#look(this.#next, out);
      this.#next += step;
    }
    // The next silence begins behind the last window, or nowhere; if not with the sound itself.
    if (this.#silence === undefined && this.#next > 0) this.#give(this.#next - step + kept, out);
    return concatenate(out);
  }

  /** The rest. The remover is then of no use any more. */
  finish(): Float32Array {
    const out: Float32Array[] = [];
    const length = this.#meter.milliseconds;
    if (length >= window && this.#next < length - window + step) this.#look(length - window, out);
    const end = this.#silence?.end;
    if (end === undefined || end < length) out.push(this.#held);
    this.#held = new Float32Array(0);
    return concatenate(out);
  }

  /** A window that is silent begins a silence or lengthens the one before. */
  #look(start: number, out: Float32Array[]): void {
    const end = start + window;
    const silent = this.#meter.rms(this.#meter.energy(start, end), start, end) <= this.#level;
    if (this.#silence !== undefined && start > this.#silence.end) this.#silence = undefined;
    if (!silent) return;
    if (this.#silence === undefined) {
      this.#silence = { start, end };
      // A silence that the sound begins with is left out but for its end.
      if (start > 0) this.#give(start + kept, out);
    }
    this.#silence.end = end;
    this.#drop(end - kept);
  }

  /** Gives what is held up to a millisecond. */
  #give(millisecond: number, out: Float32Array[]): void {
    const count = this.#meter.frameAt(millisecond) - this.#from;
    if (count <= 0) return;
    out.push(this.#held.subarray(0, count));
    this.#drop(millisecond);
  }

  #drop(millisecond: number): void {
    const count = Math.min(this.#meter.frameAt(millisecond) - this.#from, this.#held.length);
    if (count <= 0) return;
    this.#held = this.#held.subarray(count);
    this.#from += count;
  }
}

/** The whole sound without its long silences. */
export function removeSilence(samples: Float32Array, sampleRate = 24_000): Float32Array {
  const remover = new SilenceRemover(sampleRate);
  return concatenate([remover.push(samples), remover.finish()]);
}
