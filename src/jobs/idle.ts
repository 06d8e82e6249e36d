/** Whether jobs run: for work in the background that must not slow them down. */
import { pause } from '../runpod/retry.js';

/** Jobs follow each other: only after a while without one is there time for other things. */
const QUIET_MS = 5000;

export class Idle {
  readonly #quietMs: number;
  #running = 0;
  #lastEnd = -Infinity;
  #begun: AbortController = new AbortController();

  constructor(quietMs = QUIET_MS) {
    this.#quietMs = quietMs;
  }

  /** A job begins; the function that is returned says that it has ended. */
  begin(): () => void {
    this.#running += 1;
    this.#begun.abort();
    let running = true;
    return () => {
      if (!running) return;
      running = false;
      this.#running -= 1;
      this.#lastEnd = performance.now();
    };
  }

  /** Aborts when the next job begins. */
  get interrupted(): AbortSignal {
    if (this.#begun.signal.aborted && this.#running === 0) this.#begun = new AbortController();
    return this.#begun.signal;
  }

  /** Resolves when no job has run for a while. @throws the signal's reason */
  async quiet(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const wait = this.#lastEnd + this.#quietMs - performance.now();
      if (this.#running === 0 && wait <= 0) return;
      await pause(this.#running > 0 ? Math.min(this.#quietMs, 200) : wait, signal);
    }
  }
}
