/** How long audio may be. */
import { AudioError } from '../errors.js';

export interface PcmLimits {
  signal?: AbortSignal | undefined;
  /** Longer audio is refused with AUDIO_TOO_LARGE. */
  maxSeconds: number;
}

export function tooLong(seconds: number, maxSeconds: number): AudioError {
  return new AudioError(
    'AUDIO_TOO_LARGE',
    `The audio is ${seconds.toFixed(0)} s long or more, and the limit is ${maxSeconds} s. Cut it into parts or raise maxSeconds.`,
  );
}
