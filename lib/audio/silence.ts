/**
 * Silence as pydub 0.25.1 finds it (pydub/silence.py, audio_segment.py): F5-TTS prepares its
 * references with it, and another cut is another voice. Times are whole milliseconds, levels are the
 * root mean square of 16-bit samples, cut off to an integer (audioop.rms), thresholds are decibels
 * below full scale.
 */
import { roundHalfEven } from '../text/python.js';

/** Milliseconds from `start` up to `end`. */
export interface MillisecondSpan {
  start: number;
  end: number;
}

export interface SilenceOptions {
  /** Milliseconds that silence lasts at least. */
  minSilence: number;
  /** Decibels relative to full scale; what is not above it is silent. */
  threshold: number;
  /** Milliseconds between the windows that are looked at. */
  step: number;
}

const fullScale = 32_768;

/** The 16-bit sample that a sample between -1 and 1 becomes: the nearest one, without wrapping. */
export function toInt16(sample: number): number {
  const value = Math.round(sample * fullScale);
  return value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value;
}

/** The 16-bit level of so many decibels. */
export function levelOf(decibels: number): number {
  return 10 ** (decibels / 20) * fullScale;
}

function energyOf(samples: Float32Array, from: number, to: number, gain: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) {
    // toInt16, which is not inlined here.
    const value = Math.floor((samples[i] as number) * gain * fullScale + 0.5);
    const bounded = value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value;
    sum += bounded * bounded;
  }
  return sum;
}

/** Sums of squares of a recording that comes in pieces, one for each millisecond. */
export class LevelMeter {
  /** Hertz. */
  readonly sampleRate: number;
  readonly #gain: number;
  readonly #perMillisecond: number;
  #energies = new Float64Array(1 << 12);
  #frames = 0;

  /** `gain`: samples are multiplied by it before they are measured. */
  constructor(sampleRate: number, gain = 1) {
    this.sampleRate = sampleRate;
    this.#gain = gain;
    this.#perMillisecond = sampleRate / 1000;
  }

  /** Takes the next samples: mono, between -1 and 1. */
  push(samples: Float32Array): this {
    let at = 0;
    while (at < samples.length) {
      let slot = Math.floor(this.#frames / this.#perMillisecond);
      // The division may round either way.
      while (this.frameAt(slot + 1) <= this.#frames) slot++;
      while (this.frameAt(slot) > this.#frames) slot--;
      const size = Math.min(this.frameAt(slot + 1) - this.#frames, samples.length - at);
      const sum = energyOf(samples, at, at + size, this.#gain);
      if (slot >= this.#energies.length) {
        const wider = new Float64Array(2 * this.#energies.length);
        wider.set(this.#energies);
        this.#energies = wider;
      }
      this.#energies[slot] = (this.#energies[slot] ?? 0) + sum;
      this.#frames += size;
      at += size;
    }
    return this;
  }

  /** Samples so far. */
  get frames(): number {
    return this.#frames;
  }

  /** Length so far. It is rounded, so that the last millisecond may reach beyond the last sample. */
  get milliseconds(): number {
    return millisecondsOf(this.#frames, this.sampleRate);
  }

  /** The sample at which a millisecond begins. */
  frameAt(millisecond: number): number {
    return Math.trunc(millisecond * this.#perMillisecond);
  }

  /** Sum of squares of 16-bit samples, which is exact: an integer below 2^53. */
  energy(start: number, end: number): number {
    let sum = 0;
    for (let i = start; i < end; i++) sum += this.#energies[i] ?? 0;
    return sum;
  }

  /** audioop.rms of what has this energy. */
  rms(energy: number, start: number, end: number): number {
    const count = this.frameAt(end) - this.frameAt(start);
    return count > 0 ? Math.floor(Math.sqrt(energy / count)) : 0;
  }
}

/** len() of an AudioSegment. */
export function millisecondsOf(frames: number, sampleRate: number): number {
  return roundHalfEven(1000 * (frames / sampleRate));
}

/** detect_silence: stretches that are silent in windows of `minSilence`, in order and apart. */
export function detectSilence(meter: LevelMeter, options: SilenceOptions): MillisecondSpan[] {
  const { minSilence, threshold, step } = options;
  const last = meter.milliseconds - minSilence;
  const level = levelOf(threshold);
  const spans: MillisecondSpan[] = [];
  let energy = 0;
  let [from, to] = [0, 0];
  for (let start = 0; start <= last; start = nextWindow(start, last, step)) {
    const end = start + minSilence;
    energy += meter.energy(Math.max(to, start), end) - meter.energy(from, Math.min(start, to));
    [from, to] = [start, end];
    if (meter.rms(energy, start, end) > level) continue;
    const before = spans.at(-1);
    if (before !== undefined && start <= before.end) before.end = end;
    else spans.push({ start, end });
  }
  return spans;
}

/** Every `step` from 0 on, and the last one in any case. */
function nextWindow(start: number, last: number, step: number): number {
  return start < last ? Math.min(start + step, last) : Infinity;
}

/** detect_nonsilent: what lies between the silences; nothing where all is silent. */
export function detectNonsilent(meter: LevelMeter, options: SilenceOptions): MillisecondSpan[] {
  const length = meter.milliseconds;
  const silences = detectSilence(meter, options);
  const spans: MillisecondSpan[] = [];
  let start = 0;
  for (const silence of silences) {
    if (silence.start > start) spans.push({ start, end: silence.start });
    start = silence.end;
  }
  if (start < length || silences.length === 0) spans.push({ start, end: length });
  return spans;
}

/**
 * split_on_silence: the same with `keep` milliseconds of the silence on either side of each, or half
 * of the silence where it is shorter than twice that.
 */
export function splitOnSilence(
  meter: LevelMeter,
  options: SilenceOptions & { keep: number },
): MillisecondSpan[] {
  const { keep } = options;
  const wide = detectNonsilent(meter, options).map(({ start, end }) => ({
    start: start - keep,
    end: end + keep,
  }));
  for (const [i, span] of wide.entries()) {
    const next = wide[i + 1];
    if (next === undefined || next.start >= span.end) continue;
    span.end = Math.floor((span.end + next.start) / 2);
    next.start = span.end;
  }
  return wide.map(({ start, end }) => ({
    start: Math.max(start, 0),
    end: Math.min(end, meter.milliseconds),
  }));
}

/** A slice of an AudioSegment. It is as long as it was asked for: the end is filled with zeros. */
export function sliceMilliseconds(
  samples: Float32Array,
  sampleRate: number,
  start: number,
  end: number,
): Float32Array {
  const frame = (millisecond: number): number => Math.trunc(millisecond * (sampleRate / 1000));
  const [from, to] = [frame(start), frame(end)];
  if (to <= samples.length) return samples.subarray(from, Math.max(from, to));
  const padded = new Float32Array(Math.max(0, to - from));
  padded.set(samples.subarray(from));
  return padded;
}

/** detect_leading_silence: milliseconds, in windows of 10, before something is louder. */
export function leadingSilence(meter: LevelMeter, threshold: number): number {
  const level = levelOf(threshold);
  const length = meter.milliseconds;
  let start = 0;
  while (start < length) {
    const end = Math.min(start + 10, length);
    if (meter.rms(meter.energy(start, end), start, end) >= level) break;
    start += 10;
  }
  return Math.min(start, length);
}
