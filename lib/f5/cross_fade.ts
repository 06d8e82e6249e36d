/**
 * Chunks of speech joined to one sound, as they come: each is faded into the next as in f5-tts's
 * infer_batch_process (f5_tts/infer/utils_infer.py), or stands behind a pause.
 */
import { concatenate } from '../audio/pcm.js';
import { checkNumber, checkOptions } from '../validate.js';

export interface JoinOptions {
  /** Hertz; default 24000. */
  sampleRate?: number;
  /**
   * Seconds over which a chunk is faded into the next, less where one is shorter. Default 0.15, as
   * f5-tts has it; 0 sets them end to end.
   */
  crossFade?: number;
}

/** Seconds over which sound fades at a pause, so that it does not click. */
const softEdge = 0.005;
/** Seconds of the longest pause. */
const longestPause = 60;

/**
 * Joins mono chunks. However many there are, what comes out is the same as of all at once. Only the
 * last `crossFade` seconds wait for the next chunk.
 */
export class ChunkJoiner {
  readonly #rate: number;
  readonly #overlap: number;
  readonly #edge: number;
  /** The end of what was joined so far, which the next chunk may change. In 64 bits as in numpy. */
  #tail = new Float64Array(0);
  /** Samples of silence that come before the next chunk. */
  #pause: number | undefined;

  /** @throws ArgumentError INVALID_ARGUMENT */
  constructor(options?: JoinOptions) {
    checkOptions('options of the joiner', options, ['sampleRate', 'crossFade']);
    const { sampleRate = 24_000, crossFade = 0.15 } = options ?? {};
    this.#rate = checkNumber('sampleRate', sampleRate, { min: 1, max: 768_000, integer: true });
    const overlap = checkNumber('crossFade', crossFade, { max: 10 }) * this.#rate;
    this.#overlap = Math.max(0, Math.trunc(overlap));
    this.#edge = Math.round(softEdge * this.#rate);
  }

  /** Takes the next chunk, which is copied; gives what is final now, which may be nothing. */
  push(chunk: Float32Array): Float32Array {
    if (this.#pause !== undefined) return this.#afterPause(chunk);
    const fade = Math.min(this.#overlap, this.#tail.length, chunk.length);
    const joint = this.#tail.length - fade;
    const all = new Float64Array(joint + chunk.length);
    all.set(this.#tail.subarray(0, joint));
    all.set(chunk, joint);
    for (let i = 0; i < fade; i++) {
      // numpy.linspace of one point is its start.
      const x = fade > 1 ? i / (fade - 1) : 0;
      all[joint + i] = (this.#tail[joint + i] ?? 0) * (1 - x) + (chunk[i] ?? 0) * x;
    }
    const final = Math.max(0, all.length - this.#overlap);
    this.#tail = all.slice(final);
    return Float32Array.from(all.subarray(0, final));
  }

  /**
   * Silence before the next chunk, which is then not faded into the one before; pauses in a row add
   * up. Gives what is final now.
   * @throws ArgumentError INVALID_ARGUMENT unless 0 to 60 seconds
   */
  pause(seconds: number): Float32Array {
    const rule = { min: 0, max: longestPause };
    const samples = Math.round(checkNumber('pause', seconds, rule) * this.#rate);
    if (this.#pause !== undefined) {
      this.#pause += samples;
      return new Float32Array(0);
    }
    this.#pause = samples;
    const end = Float32Array.from(this.#tail);
    this.#tail = new Float64Array(0);
    return soften(end.reverse(), this.#edge).reverse();
  }

  /** The rest: the end of the last chunk, or the pause behind it. The joiner can then begin anew. */
  finish(): Float32Array {
    const rest = this.#pause === undefined ? Float32Array.from(this.#tail) : undefined;
    const silence = new Float32Array(this.#pause ?? 0);
    this.#tail = new Float64Array(0);
    this.#pause = undefined;
    return rest ?? silence;
  }

  #afterPause(chunk: Float32Array): Float32Array {
    if (chunk.length === 0) return new Float32Array(0);
    const silence = new Float32Array(this.#pause ?? 0);
    this.#pause = undefined;
    const start = this.push(soften(chunk.slice(), this.#edge));
    const all = new Float32Array(silence.length + start.length);
    all.set(start, silence.length);
    return all;
  }
}

/** Fades in the first `length` samples, in place. */
function soften(samples: Float32Array, length: number): Float32Array {
  const count = Math.min(length, samples.length);
  for (let i = 0; i < count; i++) samples[i] = ((samples[i] ?? 0) * i) / count;
  return samples;
}

/**
 * All chunks at once.
 * @throws ArgumentError INVALID_ARGUMENT
 */
export function joinChunks(chunks: readonly Float32Array[], options?: JoinOptions): Float32Array {
  const joiner = new ChunkJoiner(options);
  return concatenate([...chunks.map((chunk) => joiner.push(chunk)), joiner.finish()]);
}
