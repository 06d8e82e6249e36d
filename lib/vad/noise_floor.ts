/** How far each band of a window stands above the steady noise around it. */
import { bandCount, silenceDecibels } from './spectrum.js';

/** Levels are counted in steps of a decibel. */
const steps = 256;
/** The noise is what a band falls to in a tenth of the time: the pauses within speech are longer. */
const quantile = 0.1;

/** Levels of a sliding stretch of windows, band by band, as histograms. */
class Levels {
  readonly #counts = new Uint16Array(bandCount * steps);
  windows = 0;

  add(levels: Float32Array, at: number, change: 1 | -1): void {
    for (let band = 0; band < bandCount; band++) {
      const index = band * steps + step(levels[at + band] as number);
      this.#counts[index] = (this.#counts[index] as number) + change;
    }
    this.windows += change;
  }

  floor(band: number): number {
    const wanted = quantile * this.windows;
    let sum = 0;
    let index = 0;
    while (index < steps - 1) {
      sum += this.#counts[band * steps + index] as number;
      if (sum > wanted) break;
      index++;
    }
    return silenceDecibels + index;
  }
}

function step(decibels: number): number {
  return Math.max(0, Math.min(steps - 1, Math.round(decibels - silenceDecibels)));
}

/** Windows before and behind one that its noise is measured in: 4 s and 2 s. */
const pastWindows = 128;
export const futureWindows = 64;
/** Fewer say nothing of the noise. */
const fewest = 32;
/** A band counts up to so many decibels: a lone tone, however loud, is one band among many. */
const mostDecibels = 25;

/**
 * The floor is the higher one of what came before and of what comes behind: where steady noise
 * begins or ends, one of them knows it already.
 */
export class NoiseFloor {
  readonly #past = new Levels();
  readonly #future = new Levels();
  readonly #ring = new Float32Array((pastWindows + futureWindows + 2) * bandCount);
  #added = 0;
  #given = 0;

  /** Where the levels of the next window go: then `add` counts them. */
  slot(): { levels: Float32Array; at: number } {
    return { levels: this.#ring, at: this.#at(this.#added) };
  }

  add(): void {
    this.#future.add(this.#ring, this.#at(this.#added), 1);
    this.#added++;
  }

  /** Windows whose excess was not asked for yet. */
  get waiting(): number {
    return this.#added - this.#given;
  }

  /** Mean decibels over the floor, of the oldest window that waits; all that follow are its future. */
  next(): number {
    const at = this.#at(this.#given);
    this.#past.add(this.#ring, at, 1);
    let sum = 0;
    for (let band = 0; band < bandCount; band++) {
      const level = this.#ring[at + band] as number;
      sum += Math.max(0, Math.min(mostDecibels, level - this.#floor(band)));
    }
    this.#future.add(this.#ring, at, -1);
    if (this.#given >= pastWindows) {
      this.#past.add(this.#ring, this.#at(this.#given - pastWindows), -1);
    }
    this.#given++;
    return sum / bandCount;
  }

  #floor(band: number): number {
    const before = this.#past.floor(band);
    const behind = this.#future.floor(band);
    const knowsPast = this.#past.windows >= fewest;
    const knowsFuture = this.#future.windows >= fewest;
    if (knowsPast === knowsFuture) {
      return knowsPast ? Math.max(before, behind) : Math.min(before, behind);
    }
    return knowsPast ? before : behind;
  }

  #at(window: number): number {
    return (window % (this.#ring.length / bandCount)) * bandCount;
  }
}
