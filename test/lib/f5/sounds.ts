/** Sounds that the tests of F5-TTS's surroundings make. */
import { concatenate } from '../../../lib/audio/pcm.js';

/** White noise between -level and level, the same for each seed. */
export function noise(length: number, level: number, seed = 1): Float32Array {
  let state = seed >>> 0;
  return new Float32Array(length).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return level * ((2 * state) / 2 ** 32 - 1);
  });
}

/** Noise and silence in turn, each of so many seconds: sound first. */
export function bursts(rate: number, seconds: readonly number[], level = 0.3): Float32Array {
  const lengths = seconds.map((length) => Math.round(length * rate));
  const all = new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const [i, length] of lengths.entries()) {
    if (i % 2 === 0) all.set(noise(length, level, i + 1), at);
    at += length;
  }
  return all;
}

/** Noise of one level after another, of so many seconds each, in steps of 16 bits. */
export function steps(rate: number, parts: readonly (readonly [number, number])[]): Float32Array {
  const pieces = parts.map(([seconds, level], i) =>
    noise(Math.round(seconds * rate), level, i + 1).map((x) => Math.round(x * 32_768) / 32_768),
  );
  return concatenate(pieces);
}
