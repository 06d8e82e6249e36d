/** Samples at another rate, all at once. */
import { fromNative, loadNative } from '../binding.js';
import { concatenate } from './pcm.js';

/**
 * Mono samples from one rate (hertz) to another, by torchaudio's method: ceil(samples * to / from)
 * of them. The array must not change before the promise settles; with equal rates it comes back
 * itself.
 * @throws NativeError
 */
export async function resample(
  samples: Float32Array,
  from: number,
  to: number,
): Promise<Float32Array> {
  if (from === to) return samples;
  try {
    const native = loadNative();
    const resampler = new native.Resampler(from, to);
    return concatenate([await resampler.push(samples), await resampler.finish()]);
  } catch (error) {
    throw fromNative(error);
  }
}
