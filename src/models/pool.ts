/** Which models are loaded: each once, leased to whoever uses it, the oldest idle one given up. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, ModelError, VoxpodError, type ErrorCode } from '../../lib/errors.js';
import { Whisper, type WhisperOptions } from '../../lib/index.js';
import type { Logger } from '../log.js';
import { untilAborted } from '../abort.js';
import { requireWhisper } from './catalogue.js';
import type { HeldModel, ModelProgress, ModelStore } from './store.js';

export interface ModelPoolOptions {
  store: ModelStore;
  device?: string;
  dtype?: NonNullable<WhisperOptions['dtype']>;
  threads?: number;
  maxBatch?: number;
  maxQueue?: number;
  /** Models in memory at once. Default 1: a worker's memory is sized for the model it serves. */
  maxModels?: number;
  log?: Pick<Logger, 'info' | 'warn'>;
}

/** "load": bytes of the model's files that are in memory. */
export interface LoadProgress {
  phase: ModelProgress['phase'] | 'load';
  bytes: number;
  total: number;
}

export interface AcquireOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** A model that stays loaded until it is released. */
export interface WhisperLease {
  readonly whisper: Whisper;
  /** Does nothing when called again. */
  release(): void;
}

interface Entry {
  folder: string;
  /** Keeps the model's files from being evicted as long as it is in memory. */
  held: HeldModel;
  /** Settles with the loaded model, or with why it could not be loaded. */
  ready: Promise<Whisper>;
  loaded: boolean;
  /** Aborts the loading, when nobody wants it any more. */
  controller: AbortController;
  listeners: Set<(progress: LoadProgress) => void>;
  leases: number;
  lastUsed: number;
}

interface Ticket {
  held: HeldModel;
  admit: (entry: Entry) => void;
  refuse: (error: unknown) => void;
}

/**
 * Requests are served in the order they come. One that finds all room taken by leased models waits
 * for a release, and none behind it is served first: a busy model cannot starve the others.
 */
export class ModelPool {
  readonly #options: ModelPoolOptions;
  readonly #maxModels: number;
  /** Models that can be leased, by folder. */
  readonly #entries = new Map<string, Entry>();
  /** Everything that takes memory: the entries, and what is on its way out. */
  readonly #occupants = new Set<Entry>();
  readonly #queue: Ticket[] = [];
  #uses = 0;
  #disposed: Promise<void> | undefined;

  constructor(options: ModelPoolOptions) {
    this.#options = options;
    this.#maxModels = Math.max(1, options.maxModels ?? 1);
  }

  /**
   * Resolves with a loaded model, which the caller must release. One whose files turn out to be
   * damaged is fetched again, once.
   * @throws what the store and Whisper.load throw; DISPOSED; the signal's reason
   */
  async acquireWhisper(name: string, options: AcquireOptions = {}): Promise<WhisperLease> {
    try {
      return await this.#acquire(name, options);
    } catch (error) {
      if (!(error instanceof ModelError) || !MAYBE_DAMAGED.includes(error.code)) throw error;
      if (!(await this.#options.store.repair(name, options.signal))) throw error;
      return this.#acquire(name, options);
    }
  }

  async #acquire(name: string, { signal, onProgress }: AcquireOptions): Promise<WhisperLease> {
    this.#refuseIfDisposed();
    requireWhisper(name);
    const held = await this.#options.store.acquire(name, { signal, onProgress });
    const entry = await this.#admission(held, signal);
    const listener = (progress: LoadProgress): void => onProgress?.(progress);
    entry.listeners.add(listener);
    try {
      const whisper = await untilAborted(entry.ready, signal);
      this.#refuseIfDisposed();
      return { whisper, release: this.#releaser(entry) };
    } catch (error) {
      this.#releaser(entry)();
      throw error;
    } finally {
      entry.listeners.delete(listener);
    }
  }

  /** Disposes every model, which cancels what runs on it. Resolves when their memory is free. */
  dispose(): Promise<void> {
    this.#disposed ??= (async () => {
      for (const ticket of this.#queue.splice(0)) ticket.refuse(disposedError());
      await Promise.all([...this.#occupants].map((entry) => this.#evict(entry)));
    })();
    return this.#disposed;
  }

  /** Waits for a place in memory; the entry that comes back is leased. */
  async #admission(held: HeldModel, signal: AbortSignal | undefined): Promise<Entry> {
    try {
      this.#refuseIfDisposed();
      signal?.throwIfAborted();
      return await this.#queued(held, signal);
    } catch (error) {
      await held.release();
      throw error;
    }
  }

  #queued(held: HeldModel, signal: AbortSignal | undefined): Promise<Entry> {
    return new Promise<Entry>((resolve, reject) => {
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(ticket), 1);
        reject(signal?.reason as Error);
        this.#serve();
      };
      const ticket: Ticket = {
        held,
        admit: (entry) => {
          signal?.removeEventListener('abort', leave);
          resolve(entry);
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', leave);
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#queue.push(ticket);
      this.#serve();
    });
  }

  /** Serves the queue from its head as far as there is room. */
  #serve(): void {
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      let entry = this.#entries.get(head.held.folder);
      if (entry === undefined) {
        if (this.#occupants.size >= this.#maxModels) return this.#makeRoom();
        entry = this.#load(head.held);
      } else {
        void head.held.release();
      }
      entry.leases += 1;
      this.#queue.shift();
      head.admit(entry);
    }
  }

  /** Gives up the model that has been idle longest, unless one is leaving already. */
  #makeRoom(): void {
    if (this.#occupants.size > this.#entries.size) return;
    const idle = [...this.#entries.values()].filter(({ leases }) => leases === 0);
    const oldest = idle.sort((a, b) => a.lastUsed - b.lastUsed)[0];
    if (oldest) void this.#evict(oldest);
  }

  #load(held: HeldModel): Entry {
    const { folder } = held;
    const { device, dtype, threads, maxBatch, maxQueue, log } = this.#options;
    const controller = new AbortController();
    const listeners = new Set<(progress: LoadProgress) => void>();
    const started = performance.now();
    const load = async (): Promise<Whisper> => {
      const total = await folderBytes(folder);
      const whisper = await Whisper.load(folder, {
        ...(device === undefined ? {} : { device }),
        ...(dtype === undefined ? {} : { dtype }),
        ...(threads === undefined ? {} : { threads }),
        ...(maxBatch === undefined ? {} : { maxBatch }),
        ...(maxQueue === undefined ? {} : { maxQueue }),
        signal: controller.signal,
        onProgress: (fraction) => {
          const progress: LoadProgress = { phase: 'load', bytes: fraction * total, total };
          for (const listener of listeners) listener(progress);
        },
      });
      entry.loaded = true;
      log?.info(`Loaded ${folder} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
      return whisper;
    };
    const entry: Entry = {
      ...{ folder, held, controller, listeners, loaded: false, leases: 0, lastUsed: ++this.#uses },
      ready: load(),
    };
    this.#entries.set(folder, entry);
    this.#occupants.add(entry);
    entry.ready.catch((error: unknown) => {
      if (!controller.signal.aborted) log?.warn(`${folder}: ${messageOf(error)}`);
      // Not kept: the next one to ask tries again.
      this.#forget(entry);
      this.#occupants.delete(entry);
      void held.release();
      this.#serve();
    });
    return entry;
  }

  /** Removes a model; resolves when it is gone. Never rejects. */
  async #evict(entry: Entry): Promise<void> {
    this.#forget(entry);
    entry.controller.abort(disposedError());
    try {
      const whisper = await entry.ready.catch(() => undefined);
      await whisper?.dispose();
    } catch (error) {
      this.#options.log?.warn(`${entry.folder}: could not be disposed: ${messageOf(error)}`);
    }
    this.#occupants.delete(entry);
    await entry.held.release();
    this.#serve();
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.folder) === entry) this.#entries.delete(entry.folder);
  }

  #releaser(entry: Entry): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      entry.leases -= 1;
      entry.lastUsed = ++this.#uses;
      // Nobody waits for this model any more: stop reading gigabytes for it.
      if (entry.leases === 0 && !entry.loaded) void this.#evict(entry);
      this.#serve();
    };
  }

  #refuseIfDisposed(): void {
    if (this.#disposed) throw disposedError();
  }
}

/** How loading fails where bytes of a file are not what they were. */
const MAYBE_DAMAGED: readonly ErrorCode[] = [
  'CHECKPOINT_CORRUPT',
  'MODEL_INVALID',
  'TOKENIZER_INVALID',
];

function disposedError(): VoxpodError {
  return new VoxpodError('DISPOSED', 'The models were disposed; no more can be acquired.');
}

async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      (status) => (status.isFile() ? status.size : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
