/** Which models are loaded: each once, leased to whoever uses it, the oldest idle one given up. */
import { messageOf, VoxpodError } from '../../lib/errors.js';
import { untilAborted } from '../abort.js';
import type { Logger } from '../log.js';
import { folderBytes } from '../storage/disk.js';

/** "load": bytes of the model's files that are in memory; the others are the store's. */
export interface LoadProgress {
  phase: 'wait' | 'download' | 'load';
  bytes: number;
  total: number;
}

export interface AcquireOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** What can be loaded. */
export interface Loadable<Model extends Disposable> {
  /** The same for what is the same model. */
  key: string;
  /** For the log. */
  name: string;
  /** Folders whose files are read, for the progress. */
  folders: readonly string[];
  load(options: { signal: AbortSignal; onProgress: (fraction: number) => void }): Promise<Model>;
  /** Lets go of the files, which are not evicted until then. Does nothing when called again. */
  release(): Promise<void>;
}

export interface Disposable {
  dispose(): Promise<void>;
}

/** A model that stays loaded until it is released. */
export interface Lease<Model> {
  readonly model: Model;
  /** Does nothing when called again. */
  release(): void;
}

interface Entry {
  what: Loadable<Disposable>;
  /** Settles with the loaded model, or with why it could not be loaded. */
  ready: Promise<Disposable>;
  loaded: boolean;
  /** Aborts the loading, when nobody wants it any more. */
  controller: AbortController;
  listeners: Set<(progress: LoadProgress) => void>;
  leases: number;
  lastUsed: number;
}

interface Ticket {
  what: Loadable<Disposable>;
  admit: (entry: Entry) => void;
  refuse: (error: unknown) => void;
}

/**
 * Requests are served in the order they come. One that finds all room taken by leased models waits
 * for a release, and none behind it is served first: a busy model cannot starve the others.
 */
export class LeasedModels {
  #maxModels = 1;
  readonly #log: Pick<Logger, 'info' | 'warn'> | undefined;
  /** Models that can be leased, by their keys. */
  readonly #entries = new Map<string, Entry>();
  /** Everything that takes memory: the entries, and what is on its way out. */
  readonly #occupants = new Set<Entry>();
  readonly #queue: Ticket[] = [];
  #uses = 0;
  #disposed: Promise<void> | undefined;

  constructor(maxModels: number, log?: Pick<Logger, 'info' | 'warn'>) {
    this.maxModels = maxModels;
    this.#log = log;
  }

  /** One at least. More of them than are allowed from now on are given up as room is needed. */
  set maxModels(count: number) {
    this.#maxModels = Math.max(1, count);
    this.#serve();
  }

  /**
   * Leases what `what` loads. A key stands for one class of models.
   * @throws what loading throws; DISPOSED; the signal's reason
   */
  async acquire<Model extends Disposable>(
    what: Loadable<Model>,
    { signal, onProgress }: AcquireOptions = {},
  ): Promise<Lease<Model>> {
    const entry = await this.#admission(what, signal);
    const listener = (progress: LoadProgress): void => onProgress?.(progress);
    entry.listeners.add(listener);
    try {
      const model = (await untilAborted(entry.ready, signal)) as Model;
      this.refuseIfDisposed();
      return { model, release: this.#releaser(entry) };
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

  /** @throws VoxpodError DISPOSED */
  refuseIfDisposed(): void {
    if (this.#disposed) throw disposedError();
  }

  /** Waits for a place in memory; the entry that comes back is leased. */
  async #admission(what: Loadable<Disposable>, signal: AbortSignal | undefined): Promise<Entry> {
    try {
      this.refuseIfDisposed();
      signal?.throwIfAborted();
      return await this.#queued(what, signal);
    } catch (error) {
      await what.release();
      throw error;
    }
  }

  #queued(what: Loadable<Disposable>, signal: AbortSignal | undefined): Promise<Entry> {
    return new Promise<Entry>((resolve, reject) => {
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(ticket), 1);
        reject(signal?.reason as Error);
        this.#serve();
      };
      const ticket: Ticket = {
        what,
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
      let entry = this.#entries.get(head.what.key);
      if (entry === undefined) {
        if (this.#occupants.size >= this.#maxModels) return this.#makeRoom();
        entry = this.#load(head.what);
      } else {
        void head.what.release();
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

  #load(what: Loadable<Disposable>): Entry {
    const controller = new AbortController();
    const listeners = new Set<(progress: LoadProgress) => void>();
    const started = performance.now();
    const load = async (): Promise<Disposable> => {
      const sizes = await Promise.all(what.folders.map(folderBytes));
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const model = await what.load({
        signal: controller.signal,
        onProgress: (fraction) => {
          const progress: LoadProgress = { phase: 'load', bytes: fraction * total, total };
          for (const listener of listeners) listener(progress);
        },
      });
      entry.loaded = true;
      const seconds = (performance.now() - started) / 1000;
      this.#log?.info(`Loaded ${what.name} in ${seconds.toFixed(1)} s`);
      return model;
    };
    const entry: Entry = {
      ...{ what, controller, listeners, loaded: false, leases: 0, lastUsed: ++this.#uses },
      ready: load(),
    };
    this.#entries.set(what.key, entry);
    this.#occupants.add(entry);
    entry.ready.catch((error: unknown) => {
      if (!controller.signal.aborted) this.#log?.warn(`${what.name}: ${messageOf(error)}`);
      // Not kept: the next one to ask tries again.
      this.#forget(entry);
      this.#occupants.delete(entry);
      void what.release();
      this.#serve();
    });
    return entry;
  }

  /** Removes a model; resolves when it is gone. Never rejects. */
  async #evict(entry: Entry): Promise<void> {
    this.#forget(entry);
    entry.controller.abort(disposedError());
    try {
      const model = await entry.ready.catch(() => undefined);
      await model?.dispose();
    } catch (error) {
      this.#log?.warn(`${entry.what.name}: could not be disposed: ${messageOf(error)}`);
    }
    this.#occupants.delete(entry);
    await entry.what.release();
    this.#serve();
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.what.key) === entry) this.#entries.delete(entry.what.key);
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
}

function disposedError(): VoxpodError {
  return new VoxpodError('DISPOSED', 'The models were disposed; no more can be acquired.');
}
