/** The local platform's jobs: one queue, every state a job can be in, and those who wait for it. */
import { randomUUID } from 'node:crypto';
import { isFinal, type FinalState, type JobPolicy, type StoredJob } from './job.js';
import { waitForCall } from './waiting.js';

export interface QueueOptions {
  /** For jobs whose policy gives none. RunPod's default: 10 minutes. */
  executionTimeoutMs: number;
  /** For jobs whose policy gives none. RunPod's default: 24 hours. */
  ttlMs: number;
  /** How long results are kept: 30 minutes for /run, 1 minute for /runsync. */
  retentionMs: number;
  syncRetentionMs: number;
}

/** What a worker posts as a job's result. */
export interface JobResult {
  output?: unknown;
  error?: string | undefined;
}

interface Taker {
  count: number;
  workerId: string;
  take(jobs: StoredJob[]): void;
}

/** RunPod does not say how often it tries; here a job may have cost one worker by bad luck. */
const MOST_LOSSES = 2;

export class JobQueue {
  readonly #options: QueueOptions;
  readonly #jobs = new Map<string, StoredJob>();
  readonly #queue: StoredJob[] = [];
  readonly #takers = new Set<Taker>();
  /** Jobs that a worker must stop, and the worker's open stop call. */
  readonly #stops = new Map<string, string[]>();
  readonly #stopWatchers = new Map<string, () => void>();
  /** Since the start; jobs that were forgotten are counted too. */
  readonly totals = { COMPLETED: 0, FAILED: 0, CANCELLED: 0, TIMED_OUT: 0, retried: 0 };

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get(id: string): StoredJob | undefined {
    return this.#jobs.get(id);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** The jobs that a worker runs, or all that run. */
  running(workerId?: string): StoredJob[] {
    return [...this.#jobs.values()].filter(
      (job) => job.state === 'IN_PROGRESS' && (workerId === undefined || job.workerId === workerId),
    );
  }

  submit(request: Record<string, unknown>, policy: JobPolicy, sync: boolean): StoredJob {
    const job: StoredJob = {
      id: `${sync ? 'sync-' : ''}${randomUUID()}-u1`,
      request,
      policy,
      sync,
      state: 'IN_QUEUE',
      createdAt: Date.now(),
      startedAt: undefined,
      finishedAt: undefined,
      workerId: undefined,
      losses: 0,
      output: undefined,
      error: undefined,
      chunks: [],
      watchers: new Set(),
      timers: new Set(),
    };
    this.#jobs.set(job.id, job);
    this.#after(job, policy.ttl ?? this.#options.ttlMs, () => this.#expire(job));
    this.#enqueue(job);
    return job;
  }

  /** Waits up to `holdMs` for jobs; empty when there are none or the signal aborts. */
  take(workerId: string, count: number, holdMs: number, signal: AbortSignal): Promise<StoredJob[]> {
    if (signal.aborted) return Promise.resolve([]);
    return new Promise((resolve) => {
      const settle = (jobs: StoredJob[]): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onEnd);
        this.#takers.delete(taker);
        resolve(jobs);
      };
      const onEnd = (): void => settle([]);
      const taker: Taker = { count, workerId, take: settle };
      const timer = setTimeout(onEnd, holdMs);
      signal.addEventListener('abort', onEnd, { once: true });
      this.#takers.add(taker);
      this.#dispatch();
    });
  }

  /** The job's worker has died. A job that takes one worker after the other with it is failed. */
  lost(job: StoredJob): void {
    job.losses += 1;
    if (job.losses < MOST_LOSSES) this.requeue(job);
    else this.finish(job, { error: `${job.losses} workers died while they ran the job` });
  }

  /** Back to the front of the queue: the worker never got it, or died with it. */
  requeue(job: StoredJob): void {
    if (job.state !== 'IN_PROGRESS') return;
    this.totals.retried += 1;
    this.#reset(job);
    this.#queue.unshift(job);
    this.#changed(job);
    this.#dispatch();
  }

  /** Runs a job that failed or timed out once more; false for one in any other state. */
  retry(job: StoredJob): boolean {
    if (job.state !== 'FAILED' && job.state !== 'TIMED_OUT') return false;
    this.totals.retried += 1;
    job.losses = 0;
    this.#clearTimers(job);
    this.#reset(job);
    this.#after(job, job.policy.ttl ?? this.#options.ttlMs, () => this.#expire(job));
    this.#enqueue(job);
    return true;
  }

  progress(job: StoredJob, output: unknown): void {
    if (job.state !== 'IN_PROGRESS') return;
    job.output = output;
    this.#changed(job);
  }

  /** A queued job may be streaming already: on a worker that was thought to be lost with it. */
  chunk(job: StoredJob, output: unknown): void {
    if (isFinal(job)) return;
    job.chunks.push(output);
    this.#changed(job);
  }

  /** False where the job had ended before: the first result counts. */
  finish(job: StoredJob, result: JobResult): boolean {
    if (isFinal(job)) return false;
    this.#unqueue(job);
    job.output = result.output;
    job.error = result.error;
    this.#end(job, result.error === undefined ? 'COMPLETED' : 'FAILED');
    return true;
  }

  /** Takes the job back from the queue or from its worker; one that has ended stays as it is. */
  cancel(job: StoredJob): void {
    if (!isFinal(job)) this.#abort(job, 'CANCELLED');
  }

  /** Cancels all jobs that wait and returns how many there were. */
  purge(): number {
    const jobs = [...this.#queue];
    for (const job of jobs) this.cancel(job);
    return jobs.length;
  }

  /** Waits up to `holdMs` until `done` holds, and says whether it does. */
  async until(
    job: StoredJob,
    done: () => boolean,
    holdMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const deadline = Date.now() + holdMs;
    while (!done() && !signal.aborted && Date.now() < deadline) {
      await waitForCall(
        (wake) => job.watchers.add(wake),
        deadline - Date.now(),
        signal,
        (wake) => job.watchers.delete(wake),
      );
    }
    return done();
  }

  /** The jobs that this worker must stop, each told once; waits up to `holdMs` for one. */
  async stops(workerId: string, holdMs: number, signal: AbortSignal): Promise<string[]> {
    if (!this.#stops.has(workerId)) {
      await waitForCall(
        (wake) => this.#stopWatchers.set(workerId, wake),
        holdMs,
        signal,
        (wake) => {
          if (this.#stopWatchers.get(workerId) === wake) this.#stopWatchers.delete(workerId);
        },
      );
    }
    if (signal.aborted) return [];
    const ids = this.#stops.get(workerId) ?? [];
    this.#stops.delete(workerId);
    return ids;
  }

  /** Forgets everything, so that no timer keeps the process alive. */
  close(): void {
    for (const job of this.#jobs.values()) this.#clearTimers(job);
    for (const taker of [...this.#takers]) taker.take([]);
    this.#jobs.clear();
    this.#queue.length = 0;
  }

  #enqueue(job: StoredJob): void {
    // Jobs of low priority stay behind all others.
    const at = job.policy.lowPriority
      ? this.#queue.length
      : this.#queue.findIndex((other) => other.policy.lowPriority);
    this.#queue.splice(at < 0 ? this.#queue.length : at, 0, job);
    this.#changed(job);
    this.#dispatch();
  }

  #unqueue(job: StoredJob): void {
    const at = this.#queue.indexOf(job);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  #dispatch(): void {
    for (const taker of this.#takers) {
      if (this.#queue.length === 0) return;
      const jobs = this.#queue.splice(0, taker.count);
      for (const job of jobs) this.#begin(job, taker.workerId);
      taker.take(jobs);
    }
  }

  #begin(job: StoredJob, workerId: string): void {
    job.state = 'IN_PROGRESS';
    job.startedAt = Date.now();
    job.workerId = workerId;
    const limit = job.policy.executionTimeout ?? this.#options.executionTimeoutMs;
    const startedAt = job.startedAt;
    this.#after(job, limit, () => {
      if (job.state === 'IN_PROGRESS' && job.startedAt === startedAt) this.#abort(job, 'TIMED_OUT');
    });
    this.#changed(job);
  }

  #abort(job: StoredJob, state: FinalState): void {
    this.#unqueue(job);
    this.#tellToStop(job);
    if (state === 'TIMED_OUT') job.error = 'job timed out';
    this.#end(job, state);
  }

  #end(job: StoredJob, state: FinalState): void {
    job.state = state;
    job.finishedAt = Date.now();
    this.totals[state] += 1;
    this.#clearTimers(job);
    const { syncRetentionMs, retentionMs } = this.#options;
    this.#after(job, job.sync ? syncRetentionMs : retentionMs, () => this.#forget(job));
    this.#changed(job);
  }

  /** The end of a job's time to live deletes it in any state; a running one is stopped. */
  #expire(job: StoredJob): void {
    this.#unqueue(job);
    this.#tellToStop(job);
    this.#forget(job);
  }

  #forget(job: StoredJob): void {
    this.#clearTimers(job);
    this.#jobs.delete(job.id);
    this.#changed(job);
  }

  #reset(job: StoredJob): void {
    job.state = 'IN_QUEUE';
    job.startedAt = undefined;
    job.finishedAt = undefined;
    job.workerId = undefined;
    job.output = undefined;
    job.error = undefined;
    job.chunks = [];
  }

  #tellToStop(job: StoredJob): void {
    if (job.state !== 'IN_PROGRESS' || job.workerId === undefined) return;
    const ids = this.#stops.get(job.workerId) ?? [];
    ids.push(job.id);
    this.#stops.set(job.workerId, ids);
    this.#stopWatchers.get(job.workerId)?.();
  }

  #after(job: StoredJob, milliseconds: number, action: () => void): void {
    // setTimeout's longest wait; what is due later than in 24 days never fires in a development run.
    const timer = setTimeout(action, Math.min(milliseconds, 2 ** 31 - 1));
    timer.unref();
    job.timers.add(timer);
  }

  #clearTimers(job: StoredJob): void {
    for (const timer of job.timers) clearTimeout(timer);
    job.timers.clear();
  }

  #changed(job: StoredJob): void {
    for (const wake of [...job.watchers]) wake();
  }
}
