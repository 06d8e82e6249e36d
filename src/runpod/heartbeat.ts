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
  jobIds: readonly string[];
}

export function isHeartbeatSettings(value: unknown): value is HeartbeatSettings {
  return typeof value === 'object' && value !== null && 'url' in value && 'intervalMs' in value;
}

/** Before a thread that died is started again. */
const RESTART_MS = 1000;

export class Heartbeat {
  readonly #settings: Omit<HeartbeatSettings, 'jobIds'>;
  readonly #log: Logger;
  #jobIds: readonly string[] = [];
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
    this.#jobIds = [...jobIds];
    this.#thread?.postMessage(this.#jobIds);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#thread?.terminate();
  }
}
