/**
 * The seed of one attempt at one window, so that what is sampled depends on nothing else: not on
 * other jobs, not on how windows are batched.
 */

/** Mixes a 32-bit word into a state (the finaliser of MurmurHash3). */
function mix(state: number, word: number): number {
  let h = (state ^ word) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** An integer below 2^53. */
export function windowSeed(seed: number, seek: number, temperatureIndex: number): number {
  const words = [seed % 2 ** 32, Math.floor(seed / 2 ** 32), seek, temperatureIndex];
  const low = words.reduce(mix, 0x9e3779b9);
  const high = words.reduce(mix, 0x7f4a7c15);
  return (high % 2 ** 21) * 2 ** 32 + low;
}
