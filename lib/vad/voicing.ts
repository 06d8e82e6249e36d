/** How periodic sound is in the range of the voice's pitch. */
import { vadWindow } from './types.js';

/** The pitch is looked for at 4 kHz. */
const decimation = 4;
const fresh = vadWindow / decimation;
/** Periods in samples of 4 kHz: 400 Hz down to 70 Hz. */
const shortest = 10;
const longest = 57;

/** Takes windows one by one and tells of any of the newest. */
export class Voicing {
  /** The newest samples at 4 kHz, window i at i % `#windows`. */
  readonly #ring: Float64Array;
  readonly #windows: number;
  #added = 0;
  /** A window, and before it as many samples as the longest period has. */
  readonly #sound = new Float64Array(longest + fresh);
  /** The sum of the last four samples, and the last output of the low-pass. */
  #sum = 0;
  #last = 0;

  /** `windows` newest ones can be asked for. */
  constructor(windows: number) {
    this.#windows = windows + 1;
    this.#ring = new Float64Array(this.#windows * fresh);
  }

  add(samples: Float32Array): void {
    const at = (this.#added++ % this.#windows) * fresh;
    for (let i = 0; i < fresh; i++) {
      // Sums of four, twice: a low-pass with zeros at 4 and 8 kHz. The difference takes rumble out.
      let sum = 0;
      for (let j = 0; j < decimation; j++) sum += samples[i * decimation + j] as number;
      const smooth = sum + this.#sum;
      this.#sum = sum;
      this.#ring[at + i] = smooth - 0.9 * this.#last;
      this.#last = smooth;
    }
  }

  /** The greatest correlation of a window with the sound a period before it: 1 for a hum. */
  of(window: number): number {
    const sound = this.#sound;
    const at = (window % this.#windows) * fresh;
    const before = (at + this.#ring.length - fresh) % this.#ring.length;
    sound.set(this.#ring.subarray(before + fresh - longest, before + fresh));
    sound.set(this.#ring.subarray(at, at + fresh), longest);
    const power = correlation(sound, 0);
    let powerBefore = 0;
    for (let i = longest - shortest + 1; i < longest - shortest + 1 + fresh; i++) {
      powerBefore += (sound[i] as number) ** 2;
    }
    let best = 0;
    for (let lag = shortest; lag <= longest; lag++) {
      const first = longest - lag;
      powerBefore += (sound[first] as number) ** 2 - (sound[first + fresh] as number) ** 2;
      const product = correlation(sound, lag);
      const most = power * powerBefore;
      // More than Cauchy and Schwarz allow is rounding, where loud sound has just ended.
      if (product <= 0 || product ** 2 > 1.001 * most) continue;
      best = Math.max(best, product / Math.sqrt(most));
    }
    return best;
  }
}

/** Of the window with what is `lag` samples before it, not normalised. */
function correlation(sound: Float64Array, lag: number): number {
  // Four sums: one alone would wait for each addition to end.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = longest; i < longest + fresh; i += 4) {
    a += (sound[i] as number) * (sound[i - lag] as number);
    b += (sound[i + 1] as number) * (sound[i + 1 - lag] as number);
    c += (sound[i + 2] as number) * (sound[i + 2 - lag] as number);
    d += (sound[i + 3] as number) * (sound[i + 3 - lag] as number);
  }
  return a + b + c + d;
}
