/** What finds speech: Silero's detector out of the store, else the one that needs no weights. */
import { messageOf } from '../../lib/errors.js';
import { EnergyDetector, SileroDetector, type SpeechDetector } from '../../lib/index.js';
import { untilAborted } from '../abort.js';
import type { ModelStore, ResolveOptions } from './store.js';

export interface LoadedDetector {
  readonly detector: SpeechDetector;
  /** Whether it stands in for one that could not be had. */
  readonly substitute: boolean;
  /** Frees it, and lets go of its files. */
  dispose(): Promise<void>;
}

/**
 * Never fails for want of the weights: `warn` gets one line about it, and speech is found without.
 * @throws the signal's reason
 */
export async function loadDetector(
  store: ModelStore,
  warn: (line: string) => void,
  options: ResolveOptions = {},
): Promise<LoadedDetector> {
  try {
    return await loadSilero(store, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    const reason = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
    warn(`silero-vad cannot be had, so speech is found by loudness and pitch: ${reason}`);
    return {
      ...{ detector: new EnergyDetector(), substitute: true },
      dispose: () => Promise.resolve(),
    };
  }
}

async function loadSilero(store: ModelStore, options: ResolveOptions): Promise<LoadedDetector> {
  const held = await store.acquire('silero-vad', options);
  try {
    const detector = await SileroDetector.load(held.folder);
    const dispose = async (): Promise<void> => {
      await detector.dispose();
      await held.release();
    };
    return { detector, substitute: false, dispose };
  } catch (error) {
    await held.release();
    throw error;
  }
}

/** After so long a substitute is no longer taken for granted. */
const RETRY_MS = 10 * 60_000;

/** A detector that is loaded when the first one asks for it, and stays; a substitute for a while. */
export class SharedDetector {
  readonly #load: () => Promise<LoadedDetector>;
  readonly #retryMs: number;
  #loaded: Promise<LoadedDetector> | undefined;
  /** On the clock of `performance`; undefined for what stays. */
  #expires: number | undefined;

  constructor(load: () => Promise<LoadedDetector>, retryMs = RETRY_MS) {
    this.#load = load;
    this.#retryMs = retryMs;
  }

  /** @throws the signal's reason, which ends the waiting and not the loading; what loading throws */
  async get(signal?: AbortSignal): Promise<SpeechDetector> {
    const expired = this.#expires !== undefined && performance.now() >= this.#expires;
    if (this.#loaded === undefined || expired) {
      this.#expires = undefined;
      this.#loaded = this.#load();
      this.#loaded.then(
        ({ substitute }) => {
          if (substitute) this.#expires = performance.now() + this.#retryMs;
        },
        // Whoever waits for it hears of it; nobody may be waiting any more.
        () => undefined,
      );
    }
    return (await untilAborted(this.#loaded, signal)).detector;
  }

  /** To be called once nobody uses it. */
  async dispose(): Promise<void> {
    const loaded = await this.#loaded?.catch(() => undefined);
    await loaded?.dispose();
  }
}
