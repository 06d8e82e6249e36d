/** A classical voice activity detector, for where Silero's weights are not at hand. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ArgumentError, invalidArgument } from '../errors.js';
import { checkSignal } from '../validate.js';
import { NoiseFloor, futureWindows } from './noise_floor.js';
import { BandSpectrum } from './spectrum.js';
import { vadWindow, type DetectorStream, type SpeechDetector } from './types.js';
import { Voicing } from './voicing.js';

/**
 * Speech is what stands above the steady noise of the last seconds and the next ones, in many bands
 * of frequency at once, with a voice's periodicity near by. It needs no weights and knows no words:
 * music with a beat passes for speech. It looks 2.4 s ahead.
 */
export class EnergyDetector implements SpeechDetector {
  readonly name = 'energy';

  stream(signal?: AbortSignal): DetectorStream {
    return new EnergyStream(checkSignal('signal', signal));
  }
}

/** Windows computed before others get a turn: a few milliseconds of work. */
const sliceWindows = 64;
/** Samples looked at between two turns. */
const sliceSamples = 1 << 19;
/** Far above any scale that samples come in, and safe to square. */
const loudest = 1e9;

class EnergyStream implements DetectorStream {
  readonly #signal: AbortSignal | undefined;
  readonly #windows = new Windows();
  readonly #rest = new Float32Array(vadWindow);
  #held = 0;
  #finished = false;
  /** Settles with the call before: calls are done in the order in which they come. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  push(pcm: Float32Array): Promise<Float32Array> {
    return this.#queue(async () => {
      await this.#check(pcm);
      const out: number[] = [];
      for (let i = 0, windows = 0; i < pcm.length;) {
        const size = Math.min(vadWindow - this.#held, pcm.length - i);
        this.#rest.set(pcm.subarray(i, i + size), this.#held);
        this.#held += size;
        i += size;
        if (this.#held < vadWindow) break;
        this.#held = 0;
        this.#windows.add(this.#rest, out);
        if (++windows % sliceWindows === 0) await this.#turn();
      }
      return Float32Array.from(out);
    });
  }

  finish(): Promise<Float32Array> {
    return this.#queue(() => {
      const out: number[] = [];
      if (this.#held > 0) this.#windows.add(this.#rest.fill(0, this.#held), out);
      this.#windows.finish(out);
      this.#finished = true;
      return Float32Array.from(out);
    });
  }

  async #queue(work: () => Float32Array | Promise<Float32Array>): Promise<Float32Array> {
    const call = this.#last.then(() => {
      this.#signal?.throwIfAborted();
      if (this.#finished) {
        throw new ArgumentError(
          'INVALID_ARGUMENT',
          'The stream was finished: begin another for another recording.',
        );
      }
      return work();
    });
    this.#last = call.catch(() => undefined);
    return await call;
  }

  /** Before anything is changed, so that refused samples leave the stream as it was. */
  async #check(pcm: Float32Array): Promise<void> {
    if (!(pcm instanceof Float32Array)) throw invalidArgument('pcm', 'a Float32Array', pcm);
    for (let i = 0; i < pcm.length; i++) {
      const sample = pcm[i] as number;
      if (!(Math.abs(sample) <= loudest)) {
        throw new ArgumentError(
          'INVALID_ARGUMENT',
          `Audio sample ${i} is ${sample}, which is no finite number of a usable size.`,
        );
      }
      if ((i + 1) % sliceSamples === 0) await this.#turn();
    }
  }

  async #turn(): Promise<void> {
    await nextTurn();
    this.#signal?.throwIfAborted();
  }
}

/** Windows around one that its probability depends on, on either side. */
const context = 12;
const nearLevels = 2;
const nearVoices = 6;

/**
 * Weights of a logistic regression. They were fitted to Silero's decisions on six clips of read and
 * spontaneous speech, plain, quiet, under hiss, hum and chords, and on the noises alone.
 */
const bias = -6.7;
const perDecibel = 0.305;
const perDecibelAround = -0.11;
const perVoice = 6.65;
/** Sound so little above the noise is voiced by chance; from seven decibels on it counts whole. */
const voiceDecibels = 3;
const voiceRange = 4;

/** From windows of samples to probabilities, of which each waits for the windows that follow. */
class Windows {
  readonly #spectrum = new BandSpectrum();
  readonly #voicing = new Voicing(futureWindows + 1);
  readonly #noise = new NoiseFloor();
  /** Of the newest windows, the one with number i at i % their length. */
  readonly #excess = new Float32Array(4 * context);
  readonly #voiced = new Float32Array(4 * context);
  #measured = 0;
  #given = 0;

  add(samples: Float32Array, out: number[]): void {
    const { levels, at } = this.#noise.slot();
    this.#spectrum.decibels(samples, levels, at);
    this.#noise.add();
    this.#voicing.add(samples);
    if (this.#noise.waiting > futureWindows) this.#measure();
    if (this.#measured - this.#given > context) this.#give(out);
  }

  /** No window follows. */
  finish(out: number[]): void {
    while (this.#noise.waiting > 0) {
      this.#measure();
      if (this.#measured - this.#given > context) this.#give(out);
    }
    while (this.#given < this.#measured) this.#give(out);
  }

  #measure(): void {
    const excess = this.#noise.next();
    const weight = Math.max(0, Math.min(1, (excess - voiceDecibels) / voiceRange));
    const at = this.#measured % this.#excess.length;
    this.#excess[at] = excess;
    this.#voiced[at] = weight === 0 ? 0 : weight * this.#voicing.of(this.#measured);
    this.#measured++;
  }

  #give(out: number[]): void {
    let near = 0;
    let around = 0;
    let voiced = 0;
    for (let i = -context; i <= context; i++) {
      const window = Math.max(0, Math.min(this.#measured - 1, this.#given + i));
      const at = window % this.#excess.length;
      const excess = this.#excess[at] as number;
      around += excess / (2 * context + 1);
      if (Math.abs(i) <= nearLevels) near += excess / (2 * nearLevels + 1);
      if (Math.abs(i) <= nearVoices) voiced = Math.max(voiced, this.#voiced[at] as number);
    }
    const sum = bias + perDecibel * near + perDecibelAround * around + perVoice * voiced;
    out.push(1 / (1 + Math.exp(-sum)));
    this.#given++;
  }
}
