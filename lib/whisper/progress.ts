/** How far a transcription has come, and how long the rest will take. */
import type { TranscribeProgress } from './types.js';

export class ProgressReporter {
  readonly #listener: ((progress: TranscribeProgress) => void) | undefined;
  #started = performance.now();
  #paused: number | undefined;
  #position = 0;

  constructor(listener: ((progress: TranscribeProgress) => void) | undefined) {
    this.#listener = listener;
  }

  /** The consumer's time does not count as work. */
  pause(): void {
    this.#paused ??= performance.now();
  }

  resume(): void {
    if (this.#paused !== undefined) this.#started += performance.now() - this.#paused;
    this.#paused = undefined;
  }

  /** `position` and `duration` are seconds of audio; an estimate may be behind the position. */
  report(position: number, duration: number | undefined): void {
    this.#position = position;
    if (duration === undefined) {
      this.#listener?.({ position });
      return;
    }
    const whole = Math.max(position, duration);
    const pace = (performance.now() - this.#started) / 1000 / position;
    this.#listener?.({
      ...{ position, duration: whole },
      ...(position > 0 ? { estimatedSecondsLeft: pace * (whole - position) } : {}),
    });
  }

  /** Says that all is done, unless that was said. */
  finish(duration: number): void {
    if (this.#position < duration) this.report(duration, duration);
  }
}
