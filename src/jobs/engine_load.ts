/** Counts which jobs are in the engine and which still get ready for it. */
import type { EngineLoad } from '../runpod/isolated_protocol.js';
import type { SpeechPool } from './speech.js';
import type { WhisperPool } from './transcription.js';

/** A job that is not in the engine after this long downloads, most likely, and will for a while. */
const SLOW_MS = 250;

/** Where jobs have their models from. */
export type JobPool = WhisperPool & SpeechPool;

export class LoadMeter {
  readonly #report: (load: EngineLoad) => void;
  #capacity = 1;
  #engaged = 0;
  #preparing = 0;

  constructor(report: (load: EngineLoad) => void) {
    this.#report = report;
  }

  /** Jobs that the engine computes at once. */
  set capacity(capacity: number) {
    this.#capacity = capacity;
    this.#changed();
  }

  /** A job begins; `end` must be called when it does. */
  begin(): JobMeter {
    let counted = false;
    const settle = (): void => {
      clearTimeout(timer);
      if (counted) {
        counted = false;
        this.#preparing -= 1;
        this.#changed();
      }
    };
    const timer = setTimeout(() => {
      counted = true;
      this.#preparing += 1;
      this.#changed();
    }, SLOW_MS);
    // From here on the job needs the engine: it waits for a model, or for its turn, or computes.
    const engage = async <Lease extends { release(): void }>(
      acquire: () => Promise<Lease>,
    ): Promise<Lease> => {
      settle();
      const leave = this.#enter();
      try {
        const lease = await acquire();
        const release = (): void => {
          lease.release();
          leave();
        };
        return { ...lease, release };
      } catch (error) {
        leave();
        throw error;
      }
    };
    return {
      end: settle,
      pool: (pool) => ({
        acquireWhisper: (...args) => engage(() => pool.acquireWhisper(...args)),
        acquireSpeech: (...args) => engage(() => pool.acquireSpeech(...args)),
      }),
    };
  }

  #enter(): () => void {
    let inside = true;
    this.#engaged += 1;
    this.#changed();
    return () => {
      if (!inside) return;
      inside = false;
      this.#engaged -= 1;
      this.#changed();
    };
  }

  #changed(): void {
    const [capacity, engaged, preparing] = [this.#capacity, this.#engaged, this.#preparing];
    this.#report({ capacity, engaged, preparing });
  }
}

export interface JobMeter {
  /** The pool for this job. */
  pool(pool: JobPool): JobPool;
  end(): void;
}
