/** Loaded models of every family, out of the store: leased to jobs, and made room for. */
import { ModelError, type ErrorCode } from '../../lib/errors.js';
import { F5TTS, Whisper, type F5Options, type WhisperOptions } from '../../lib/index.js';
import type { Logger } from '../log.js';
import { requireFamily } from './catalogue.js';
import {
  LeasedModels,
  type AcquireOptions,
  type Disposable,
  type Loadable,
  type LoadProgress,
} from './leased_models.js';
import { holdSpeechModel } from './speech_model.js';
import type { ModelStore } from './store.js';

export type { AcquireOptions, LoadProgress };

export interface ModelPoolOptions {
  store: ModelStore;
  device?: string;
  /** Whisper's; speech is computed in "auto" where this is "int8". */
  dtype?: NonNullable<WhisperOptions['dtype']>;
  threads?: number;
  /** Of Whisper: rows of a batch. */
  maxBatch?: number;
  maxQueue?: number;
  /** Parts in the place of those that a speech model goes with, and what its checkpoint does not say. */
  speech?: Pick<F5Options, 'vocoder' | 'vocabulary' | 'version'>;
  /** Models in memory at once. Default 1: a worker's memory is sized for the model it serves. */
  maxModels?: number;
  log?: Pick<Logger, 'info' | 'warn'>;
}

/** A model that stays loaded until it is released. */
export interface WhisperLease {
  readonly whisper: Whisper;
  /** Does nothing when called again. */
  release(): void;
}

export interface SpeechLease {
  readonly speech: F5TTS;
  /** Does nothing when called again. */
  release(): void;
}

export class ModelPool {
  readonly #options: ModelPoolOptions;
  readonly #models: LeasedModels;

  constructor(options: ModelPoolOptions) {
    this.#options = options;
    this.#models = new LeasedModels(options.maxModels ?? 1, options.log);
  }

  /**
   * Resolves with a loaded model, which the caller must release. One whose files turn out to be
   * damaged is fetched again, once.
   * @throws what the store and Whisper.load throw; DISPOSED; the signal's reason
   */
  async acquireWhisper(name: string, options: AcquireOptions = {}): Promise<WhisperLease> {
    requireFamily(name, 'whisper');
    const lease = await this.#acquire(() => this.#whisper(name, options), options);
    return { whisper: lease.model, release: lease.release };
  }

  /** As `acquireWhisper`, with its vocoder. @throws what the store and F5TTS.load throw, too */
  async acquireSpeech(name: string, options: AcquireOptions = {}): Promise<SpeechLease> {
    requireFamily(name, 'f5-tts');
    const lease = await this.#acquire(() => this.#speech(name, options), options);
    return { speech: lease.model, release: lease.release };
  }

  /** Changes how many models may be in memory. */
  set maxModels(count: number) {
    this.#models.maxModels = count;
  }

  /** Disposes every model, which cancels what runs on it. Resolves when their memory is free. */
  dispose(): Promise<void> {
    return this.#models.dispose();
  }

  async #acquire<Model extends Disposable>(
    find: () => Promise<Found<Model>>,
    options: AcquireOptions,
  ): Promise<{ model: Model; release: () => void }> {
    this.#models.refuseIfDisposed();
    const found = await find();
    try {
      return await this.#models.acquire(found, options);
    } catch (error) {
      if (!(error instanceof ModelError) || !MAYBE_DAMAGED.includes(error.code)) throw error;
      let repaired = false;
      for (const name of found.models) {
        repaired = (await this.#options.store.repair(name, options.signal)) || repaired;
      }
      if (!repaired) throw error;
      return this.#models.acquire(await find(), options);
    }
  }

  async #whisper(name: string, options: AcquireOptions): Promise<Found<Whisper>> {
    const held = await this.#options.store.acquire(name, options);
    const { folder } = held;
    const { dtype, maxBatch } = this.#options;
    return {
      ...{ key: `whisper ${folder}`, name: folder, models: [name], folders: [folder] },
      load: (progress) =>
        Whisper.load(folder, {
          ...this.#placement(),
          ...(dtype === undefined ? {} : { dtype }),
          ...(maxBatch === undefined ? {} : { maxBatch }),
          ...progress,
        }),
      release: () => held.release(),
    };
  }

  async #speech(name: string, options: AcquireOptions): Promise<Found<F5TTS>> {
    const { dtype, store, speech = {} } = this.#options;
    const { vocoder, ...given } = speech;
    const parts = vocoder === undefined ? options : { ...options, vocoder };
    const held = await holdSpeechModel(store, name, parts);
    const { folder, models, folders, files } = held;
    return {
      ...{ key: ['f5-tts', ...folders].join(' '), name: folder, models, folders },
      load: (progress) =>
        F5TTS.load(folder, {
          ...this.#placement(),
          ...(dtype === undefined || dtype === 'int8' ? {} : { dtype }),
          ...files,
          ...given,
          pinyin: async () => (await store.resolve('pypinyin')).folder,
          ...progress,
        }),
      release: () => held.release(),
    };
  }

  #placement(): Pick<WhisperOptions, 'device' | 'threads' | 'maxQueue'> {
    const { device, threads, maxQueue } = this.#options;
    return {
      ...(device === undefined ? {} : { device }),
      ...(threads === undefined ? {} : { threads }),
      ...(maxQueue === undefined ? {} : { maxQueue }),
    };
  }
}

/** What is loaded, and the names under which its parts were found. */
type Found<Model extends Disposable> = Loadable<Model> & { models: readonly string[] };

/** How loading fails where bytes of a file are not what they were. */
const MAYBE_DAMAGED: readonly ErrorCode[] = [
  'CHECKPOINT_CORRUPT',
  'MODEL_INVALID',
  'TOKENIZER_INVALID',
];
