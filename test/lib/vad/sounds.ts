/** Sounds that the tests of speech detection make, and what they measure of the spans. */
import { concatenate as joined } from '../../../lib/audio/pcm.js';
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { packageRoot } from '../../../lib/package_root.js';
import { vadRate, type DetectorStream, type SpeechSpan } from '../../../lib/vad/types.js';
import { folderFrom, nativeProblem } from '../../support/needs.js';

/** Silero's weights: their folder, or why there are none, for a test's `skip`. */
export function sileroWeights(): { folder: string; skip: string | false } {
  const models = folderFrom('VOXPOD_TEST_MODELS');
  const goldens = folderFrom('VOXPOD_GOLDENS');
  const folders = [
    ...(models === undefined ? [] : [join(models, 'silero-vad')]),
    ...(goldens === undefined ? [] : [join(goldens, 'whisper', 'vad')]),
  ];
  const folder = folders.find((candidate) => existsSync(candidate));
  const skip =
    nativeProblem() ??
    (folder === undefined
      ? 'no silero-vad in VOXPOD_TEST_MODELS and no whisper/vad in VOXPOD_GOLDENS'
      : false);
  return { folder: folder ?? '', skip };
}

/** The fixture: 6.5 s of synthesized speech. */
export async function speech(): Promise<Float32Array> {
  const file = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
  return await decodeAudio(file, { sampleRate: vadRate });
}

export function silence(seconds: number): Float32Array {
  return new Float32Array(seconds * vadRate);
}

/** White noise of the given root mean square, the same every time. */
export function hiss(seconds: number, level: number): Float32Array {
  let state = 1;
  return silence(seconds).map(() => {
    let sum = 0;
    for (let i = 0; i < 12; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      sum += state / 2 ** 32;
    }
    return level * (sum - 6);
  });
}

/** Mains hum with its overtones. */
export function hum(seconds: number, level: number): Float32Array {
  const overtones = [1, 0.5, 0.3, 0, 0.2, 0, 0.1];
  return silence(seconds).map((_, i) =>
    overtones.reduce(
      (sum, weight, n) =>
        sum + level * weight * Math.sin((2 * Math.PI * 50 * (n + 1) * i) / vadRate),
      0,
    ),
  );
}

export function concatenate(...parts: Float32Array[]): Float32Array {
  return joined(parts);
}

export function mix(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => x + (b[i] ?? 0));
}

/** At the given root mean square in decibels, rounded to 16 bits. */
export function atDecibels(pcm: Float32Array, decibels: number): Float32Array {
  const power = pcm.reduce((sum, x) => sum + x * x, 0) / pcm.length;
  const factor = 10 ** (decibels / 20) / Math.sqrt(power);
  return pcm.map((x) => Math.round(x * factor * 32_768) / 32_768);
}

/** Probabilities of a whole recording, pushed in pieces of the given numbers of samples, in turn. */
export async function probabilities(
  stream: DetectorStream,
  pcm: Float32Array,
  sizes: readonly number[] = [pcm.length],
): Promise<Float32Array> {
  const out: Float32Array[] = [];
  for (let at = 0, i = 0; at < pcm.length; i++) {
    const size = sizes[i % sizes.length] ?? pcm.length;
    out.push(await stream.push(pcm.subarray(at, at + size)));
    at += size;
  }
  out.push(await stream.finish());
  return concatenate(...out);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}

/** Seconds that spans have in [start, end). */
export function seconds(spans: readonly SpeechSpan[], start: number, end: number): number {
  return spans.reduce(
    (sum, span) => sum + Math.max(0, Math.min(end, span.end) - Math.max(start, span.start)),
    0,
  );
}
