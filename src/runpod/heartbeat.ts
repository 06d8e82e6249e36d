/**
 * The heartbeat that keeps the platform from taking a busy worker for a dead one. It beats on a
 * thread of its own, so that no computation on the main thread can stop it.
 */
import { Worker } from 'node:worker_threads';
import { compiledFile } from '../../lib/package_root.js';
import type { Logger } from '../log.js';

/** What the thread is started with. */
export interface HeartbeatSettings {
  url: string;
  intervalMs: number;
  /** Value of the Authorization header. */
  authorization: string | undefined;
  version: string;
  /** The ids of the jobs held, in the form of `writeJobIds`. */
  jobIds: SharedArrayBuffer;
}

export function isHeartbeatSettings(value: unknown): value is HeartbeatSettings {
  return typeof value === 'object' && value !== null && 'url' in value && 'intervalMs' in value;
}

/**
 * Job ids pass to the thread through memory that both share: a message for each job that comes and
 * goes costs more than all else the worker does for an empty one. A version number that is odd while
 * the text is being written tells the reader to read again.
 */
const MOST_BYTES = 256 * 1024;
const encoder = new TextEncoder();

function writeJobIds(memory: SharedArrayBuffer, ids: Iterable<string>): void {
  const header = new Int32Array(memory, 0, 2);
  Atomics.add(header, 0, 1);
  const { written } = encoder.encodeInto([...ids].join(','), new Uint8Array(memory, 8));
  Atomics.store(header, 1, written);
  Atomics.add(header, 0, 1);
}

/** The ids, joined by commas; empty without any. */
export function readJobIds(memory: SharedArrayBuffer): string {
  const header = new Int32Array(memory, 0, 2);
  for (;;) {
    const version = Atomics.load(header, 0);
    // A copy, because text is not decoded from shared memory.
    const bytes = new Uint8Array(memory, 8).slice(0, Atomics.load(header, 1));
    if (version % 2 === 0 && version === Atomics.load(header, 0))
      return Buffer.from(bytes).toString();
  }
}

/** Before a thread that died is started again. */
const RESTART_MS = 1000;

export class Heartbeat {
  readonly #settings: Omit<HeartbeatSettings, 'jobIds'>;
  readonly #log: Logger;
  readonly #jobIds = new SharedArrayBuffer(8 + MOST_BYTES);
  #thread: Worker | undefined;
  #stopped = false;

  constructor(settings: Omit<HeartbeatSettings, 'jobIds'>, log: Logger) {
    this.#settings = settings;
    this.#log = log;
  }

  /** Beats at once, then at every interval. The thread does not keep the process alive. */
  start(): void {
    const settings: HeartbeatSettings = { ...this.#settings, jobIds: this.#jobIds };
    const thread = new Worker(compiledFile(import.meta.url, 'src/runpod/heartbeat_thread.js'), {
      workerData: settings,
      name: 'voxpod-heartbeat',
    });
    thread.unref();
    thread.on('message', (problem) => {
      this.#log.warn(`The platform did not take a heartbeat: ${String(problem)}`);
    });
    thread.on('error', (error) => this.#log.error(`The heartbeat's thread died: ${error.message}`));
    thread.on('exit', () => {
      if (this.#stopped || this.#thread !== thread) return;
      setTimeout(() => {
        if (!this.#stopped) this.start();
      }, RESTART_MS).unref();
    });
    this.#thread = thread;
  }

  /** The jobs that the worker holds from now on. */
  setJobs(jobIds: Iterable<string>): void {
    writeJobIds(this.#jobIds, jobIds);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#thread?.terminate();
  }
}
