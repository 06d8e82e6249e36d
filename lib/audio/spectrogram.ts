/** A mel spectrogram as a picture: time to the right, low frequencies at the bottom. */
import { invalidArgument } from '../errors.js';
import { checkNumber, checkOptions } from '../validate.js';
import { encodePng } from './png.js';

export interface SpectrogramOptions {
  /** Pixels at most; default 1600. A shorter mel has 4 of them for each frame. */
  maxWidth?: number;
  /** Pixels; default 400. */
  height?: number;
}

/** Pixels of a frame where there is room. */
const frameWidth = 4;
/** Pixels of a picture's side at most. */
const longestSide = 8192;

/** Every 32nd colour of matplotlib's "viridis" (matplotlib/_cm_listed.py, CC0), as is usual for it. */
const viridis = [
  ...[0x440154, 0x472d7b, 0x3b528b, 0x2c728e, 0x21908c],
  ...[0x27ad81, 0x5dc863, 0xaadc32, 0xfde725],
];

/** 256 colours of evenly rising lightness. */
function palette(): [number, number, number][] {
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (viridis.length - 1);
    const low = Math.min(Math.floor(place), viridis.length - 2);
    const [from, to] = [viridis[low] ?? 0, viridis[low + 1] ?? 0];
    const mix = (shift: number): number => {
      const [a, b] = [(from >> shift) & 255, (to >> shift) & 255];
      return Math.round(a + (b - a) * (place - low));
    };
    return [mix(16), mix(8), mix(0)];
  });
}

/** For each pixel of a side, the part of `count` values that it shows: one of them at least. */
function parts(pixels: number, count: number): [number, number][] {
  return Array.from({ length: pixels }, (_, i) => {
    const from = Math.floor((i * count) / pixels);
    return [from, Math.max(from + 1, Math.floor(((i + 1) * count) / pixels))];
  });
}

/**
 * A PNG of a mel [frames, mels], row after row, its least value dark and its greatest bright. Where
 * it has more frames than there is width for, a pixel shows their mean.
 * @throws ArgumentError INVALID_ARGUMENT; values that are no numbers among it
 */
export async function spectrogramPng(
  mel: Float32Array,
  mels: number,
  options?: SpectrogramOptions,
): Promise<Uint8Array> {
  checkOptions('options of the spectrogram', options, ['maxWidth', 'height']);
  const side = { min: 1, max: longestSide, integer: true };
  const maxWidth = checkNumber('maxWidth', options?.maxWidth ?? 1600, side);
  const height = checkNumber('height', options?.height ?? 400, side);
  checkNumber('mels', mels, { min: 1, max: 4096, integer: true });
  const frames = mel.length / mels;
  if (!Number.isInteger(frames) || frames === 0) {
    throw invalidArgument('mel', `rows of ${mels} values`, `${mel.length} values`);
  }
  let [least, greatest] = [Infinity, -Infinity];
  for (let i = 0; i < mel.length; i++) {
    const value = mel[i] ?? NaN;
    if (!Number.isFinite(value)) throw invalidArgument(`value ${i} of mel`, 'a number', value);
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  const scale = greatest > least ? 255 / (greatest - least) : 0;
  const width = Math.min(maxWidth, frames * frameWidth);
  const columns = parts(width, frames);
  const rows = parts(height, mels);
  const pixels = new Uint8Array(width * height);
  for (const [x, [from, to]] of columns.entries()) {
    const mean = new Float64Array(mels);
    for (let frame = from; frame < to; frame++) {
      for (let band = 0; band < mels; band++) {
        mean[band] = (mean[band] ?? 0) + (mel[frame * mels + band] ?? 0) / (to - from);
      }
    }
    for (const [y, [low, high]] of rows.entries()) {
      let sum = 0;
      for (let band = low; band < high; band++) sum += mean[band] ?? 0;
      pixels[(height - 1 - y) * width + x] = Math.round((sum / (high - low) - least) * scale);
    }
  }
  return encodePng({ width, height, pixels, palette: palette() });
}
