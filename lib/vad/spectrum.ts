/** Power of one window of sound in bands of frequency. */
import { vadWindow } from './types.js';

const half = vadWindow / 2;

/** First bins (of 31.25 Hz) of the bands, and the end: 94 Hz to 6.25 kHz, wider as the ear's. */
const edges = [3, 7, 11, 15, 20, 26, 33, 41, 50, 61, 74, 90, 110, 134, 163, 200];
export const bandCount = edges.length - 1;

/** Decibels are of a full scale of 1; what is below is silence on any 16-bit recording. */
export const silenceDecibels = -100;
const silencePower = 10 ** (silenceDecibels / 10);

const window = Float64Array.from(
  { length: vadWindow },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / vadWindow),
);
/** A sine of amplitude 1 has a power of 1/2, spread over its bin and its neighbours. */
const scale = 2 / (vadWindow * window.reduce((sum, x) => sum + x * x, 0));

const cosines = Float64Array.from({ length: half }, (_, k) =>
  Math.cos((2 * Math.PI * k) / vadWindow),
);
const sines = Float64Array.from({ length: half }, (_, k) =>
  Math.sin((2 * Math.PI * k) / vadWindow),
);
/** Where the numbers of a transform of 256 go before it: their index, its 8 bits reversed. */
const reversed = Uint8Array.from({ length: half }, (_, i) => {
  let out = 0;
  for (let bit = 0; bit < 8; bit++) out |= ((i >> bit) & 1) << (7 - bit);
  return out;
});

/** Computes one window at a time: a Fourier transform of 512 real numbers as 256 complex ones. */
export class BandSpectrum {
  readonly #real = new Float64Array(half);
  readonly #imaginary = new Float64Array(half);

  /** Decibels of each band of the 512 samples, into `out` from `at` on. */
  decibels(samples: Float32Array, out: Float32Array, at: number): void {
    const real = this.#real;
    const imaginary = this.#imaginary;
    for (let i = 0; i < half; i++) {
      const to = reversed[i] as number;
      real[to] = (samples[2 * i] as number) * (window[2 * i] as number);
      imaginary[to] = (samples[2 * i + 1] as number) * (window[2 * i + 1] as number);
    }
    transform(real, imaginary);
    for (let band = 0; band < bandCount; band++) {
      let power = silencePower;
      const end = edges[band + 1] as number;
      for (let k = edges[band] as number; k < end; k++) {
        power += scale * powerOf(real, imaginary, k);
      }
      out[at + band] = 10 * Math.log10(power);
    }
  }
}

/** Cooley and Tukey's, radix 2, on bit-reversed input, in place. */
function transform(real: Float64Array, imaginary: Float64Array): void {
  for (let size = 1; size < half; size *= 2) {
    const step = half / size;
    for (let k = 0; k < size; k++) {
      const c = cosines[k * step] as number;
      const s = sines[k * step] as number;
      for (let i = k; i < half; i += 2 * size) {
        const j = i + size;
        const a = real[j] as number;
        const b = imaginary[j] as number;
        const re = a * c + b * s;
        const im = b * c - a * s;
        real[j] = (real[i] as number) - re;
        imaginary[j] = (imaginary[i] as number) - im;
        real[i] = (real[i] as number) + re;
        imaginary[i] = (imaginary[i] as number) + im;
      }
    }
  }
}

/** |X[k]|^2 of the real signal whose even and odd samples were transformed as one complex one. */
function powerOf(real: Float64Array, imaginary: Float64Array, k: number): number {
  const a = real[k] as number;
  const b = imaginary[k] as number;
  const c = real[half - k] as number;
  const d = imaginary[half - k] as number;
  const evenRe = (a + c) / 2;
  const evenIm = (b - d) / 2;
  const oddRe = (b + d) / 2;
  const oddIm = (c - a) / 2;
  const cos = cosines[k] as number;
  const sin = sines[k] as number;
  const re = evenRe + oddRe * cos + oddIm * sin;
  const im = evenIm + oddIm * cos - oddRe * sin;
  return re * re + im * im;
}
