/** Which workers the local platform knows, and whether they are alive. */
import type { JobQueue } from './job_queue.js';

interface KnownWorker {
  lastSeen: number;
  /** Calls held open: a worker that waits for a job is alive. */
  openCalls: number;
}

export interface WorkerCounts {
  idle: number;
  initializing: number;
  ready: number;
  running: number;
  throttled: number;
}

export class WorkerRegistry {
  readonly #queue: JobQueue;
  readonly #silenceMs: number;
  readonly #workers = new Map<string, KnownWorker>();
  readonly #sweeper: NodeJS.Timeout;

  /** A worker that is silent for `silenceMs` is lost, and its jobs are queued again. */
  constructor(queue: JobQueue, silenceMs: number) {
    this.#queue = queue;
    this.#silenceMs = silenceMs;
    this.#sweeper = setInterval(() => this.#sweep(), Math.max(50, silenceMs / 4));
    this.#sweeper.unref();
  }

  /** Notes a sign of life. The function that is returned marks the call's end. */
  seen(workerId: string): () => void {
    const worker = this.#workers.get(workerId) ?? { lastSeen: 0, openCalls: 0 };
    worker.lastSeen = Date.now();
    worker.openCalls += 1;
    this.#workers.set(workerId, worker);
    return () => {
      worker.openCalls -= 1;
      worker.lastSeen = Date.now();
    };
  }

  /**
   * A ping names the jobs that the worker holds. One it was given a while ago and does not name died
   * with an earlier process under the same id, and is queued again.
   */
  pinged(workerId: string, jobIds: readonly string[]): void {
    for (const job of this.#queue.running(workerId)) {
      const age = Date.now() - (job.startedAt ?? 0);
      if (age > this.#silenceMs && !jobIds.includes(job.id)) this.#queue.lost(job);
    }
  }

  /** The worker is no more, and the jobs it held are queued again. */
  lost(workerId: string): void {
    this.#workers.delete(workerId);
    for (const job of this.#queue.running(workerId)) this.#queue.lost(job);
  }

  counts(): WorkerCounts {
    const busy = new Set(this.#queue.running().map((job) => job.workerId));
    const running = [...this.#workers.keys()].filter((id) => busy.has(id)).length;
    const idle = this.#workers.size - running;
    return { idle, initializing: 0, ready: this.#workers.size, running, throttled: 0 };
  }

  close(): void {
    clearInterval(this.#sweeper);
  }

  #sweep(): void {
    for (const [id, worker] of this.#workers) {
      if (worker.openCalls > 0 || Date.now() - worker.lastSeen < this.#silenceMs) continue;
      this.lost(id);
    }
  }
}
