/** How periodic sound is in the range of the voice's pitch. */
import { vadWindow } from './types.js';

/** The pitch is looked for at 4 kHz. */
const decimation = 4;
const fresh = vadWindow / decimation;
/** Periods in samples of 4 kHz: 400 Hz down to 70 Hz. */
const shortest = 10;
const longest = 57;

/** Fed window by window. */
export class Voicing {
  /** The newest samples at 4 kHz: a window, and as many before it as the longest period has. */
  readonly #history = new Float64Array(fresh + longest);
  /** The sum of the last four samples, and the last output of the low-pass. */
  #sum = 0;
  #last = 0;

  /** The greatest correlation of the 512 samples with those a period before: 1 for a hum. */
  next(samples: Float32Array): number {
    const history = this.#history;
    history.copyWithin(0, fresh);
    for (let i = 0; i < fresh; i++) {
      // Sums of four, twice: a low-pass with zeros at 4 and 8 kHz. The difference takes rumble out.
      let sum = 0;
      for (let j = 0; j < decimation; j++) sum += samples[i * decimation + j] as number;
      const smooth = sum + this.#sum;
      this.#sum = sum;
      history[longest + i] = smooth - 0.9 * this.#last;
      this.#last = smooth;
    }
    return this.#correlation();
  }

  #correlation(): number {
    const history = this.#history;
    let now = 0;
    for (let i = longest; i < longest + fresh; i++) now += (history[i] as number) ** 2;
    let before = 0;
    for (let i = longest - shortest; i < longest - shortest + fresh; i++) {
      before += (history[i] as number) ** 2;
    }
    let best = 0;
    for (let lag = shortest; lag <= longest; lag++) {
      let product = 0;
      for (let i = longest; i < longest + fresh; i++) {
        product += (history[i] as number) * (history[i - lag] as number);
      }
      const correlation = product / (Math.sqrt(now * before) + 1e-12);
      if (correlation > best) best = correlation;
      const left = longest - lag - 1;
      if (left >= 0)
        before += (history[left] as number) ** 2 - (history[left + fresh] as number) ** 2;
    }
    return best;
  }
}
