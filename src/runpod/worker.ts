/** The worker's loop: takes jobs, runs them side by side, and ends without losing one. */
import { setMaxListeners } from 'node:events';
import { JobError, messageOf } from '../../lib/errors.js';
import { jobId } from './job.js';
import { RecentJobs } from './recent.js';
import { backoff, pause } from './retry.js';
import { RunningJob, type JobOptions } from './running_job.js';

export interface LoopOptions extends JobOptions {
  /** Jobs at once; a function is asked before each take with the jobs that run. */
  concurrency: number | ((running: number) => number);
  drainMs: number;
  /** Called when the set of jobs held changes. */
  onJobs(jobIds: Iterable<string>): void;
}

/** Between takes that fail, and between empty answers that come at once instead of being held. */
const TAKE_RETRY = { firstMs: 500, maxMs: 10_000 };
const EMPTY_RETRY = { firstMs: 20, maxMs: 500 };
/** An empty answer that took this long was held by the platform: ask again at once. */
const HELD_MS = 1000;
/** Between calls of the stop channel, as RunPod's SDK paces it. */
const STOP_PAUSE_MS = 1000;
/** After the deadline: for handlers to notice the abort and for their errors to be posted. */
const GRACE_MS = 5000;

/** For the delivery that a stop has overtaken. */
const EARLY_STOP_MS = 30_000;

interface HeldJob {
  job: RunningJob;
  settled: Promise<void>;
}

export class WorkerLoop {
  readonly #options: LoopOptions;
  readonly #running = new Map<string, HeldJob>();
  readonly #recent = new RecentJobs();
  /** Jobs that were stopped before they came, and until when that is remembered. */
  readonly #stoppedEarly = new Map<string, number>();
  /** No more taking. */
  readonly #stopping = new AbortController();
  /** No more running: the drain's deadline has passed. */
  readonly #hurry = new AbortController();
  /** No more posting. */
  readonly #abandon = new AbortController();
  #slotFreed: () => void = () => undefined;

  constructor(options: LoopOptions) {
    this.#options = options;
    // Every post on its way listens: as many as there are jobs, and no leak.
    setMaxListeners(0, this.#abandon.signal, this.#stopping.signal);
  }

  /** Stops taking; `run` resolves when the jobs that run have ended. A second call aborts them. */
  stop(): void {
    if (this.#stopping.signal.aborted) this.#hurry.abort();
    this.#stopping.abort();
  }

  /** Resolves after `stop`, when every job that was taken has ended and its result has left. */
  async run(): Promise<void> {
    const stopChannel = new AbortController();
    const watching = this.#options.client.hasStops
      ? this.#watchStops(stopChannel.signal)
      : undefined;
    await this.#takeJobs();
    await this.#drain();
    stopChannel.abort();
    await watching;
  }

  async #takeJobs(): Promise<void> {
    const { client, log } = this.#options;
    const signal = this.#stopping.signal;
    let failures = 0;
    let empties = 0;
    while (!signal.aborted) {
      const room = this.#room();
      if (room <= 0) {
        await this.#waitForSlot();
        continue;
      }
      const asked = performance.now();
      try {
        const reply = await client.take(room, this.#running.size > 0, signal);
        failures = 0;
        for (const delivery of reply.jobs) this.#accept(delivery);
        const held = performance.now() - asked >= HELD_MS;
        empties = reply.jobs.length > 0 || held ? 0 : empties + 1;
        const wait = empties === 0 ? 0 : backoff(empties, EMPTY_RETRY);
        if (wait + reply.waitMs > 0) await pause(Math.max(wait, reply.waitMs), signal);
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        const wait = backoff(failures, TAKE_RETRY);
        log.error(
          `Failed to get a job: ${messageOf(error)}; trying again in ${Math.round(wait)} ms`,
        );
        await pause(wait, signal);
      }
    }
  }

  #room(): number {
    const { concurrency } = this.#options;
    let limit = 1;
    try {
      limit = typeof concurrency === 'number' ? concurrency : concurrency(this.#running.size);
    } catch (error) {
      this.#options.log.error(`The concurrency function failed: ${messageOf(error)}`);
    }
    return (Number.isFinite(limit) ? Math.floor(limit) : 1) - this.#running.size;
  }

  /** Until a job ends; at least once a second, because a concurrency function may change its mind. */
  async #waitForSlot(): Promise<void> {
    const stopping = this.#stopping.signal;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1000);
      this.#slotFreed = () => {
        clearTimeout(timer);
        resolve();
      };
      stopping.addEventListener('abort', this.#slotFreed, { once: true });
    });
    stopping.removeEventListener('abort', this.#slotFreed);
  }

  #accept(delivery: unknown): void {
    const { log } = this.#options;
    const id = jobId(delivery);
    if (id === undefined) {
      log.error('A job without an id was delivered; nobody can be told, so it is dropped');
      return;
    }
    if (this.#running.has(id)) {
      log.forRequest(id).warn('The job was delivered again while it runs; the copy is dropped');
      return;
    }
    if (this.#wasStoppedEarly(id)) {
      log.forRequest(id).info('The job was stopped before it came; it is dropped');
      return;
    }
    const job = new RunningJob(id, delivery, this.#options, this.#abandon.signal);
    if (this.#hurry.signal.aborted) job.abort(endOfWorker());
    const held: HeldJob = { job, settled: Promise.resolve() };
    this.#running.set(id, held);
    // Before the handler begins: it may block this thread, and the heartbeat must know the job.
    this.#announce();
    const posted = this.#recent.result(id);
    const work = posted === undefined ? job.run() : job.postAgain(posted);
    held.settled = work.then((result) => {
      this.#running.delete(id);
      this.#recent.add(id, result);
      this.#announce();
      if (this.#options.refreshWorker) this.#stopping.abort();
      this.#slotFreed();
    });
  }

  async #watchStops(signal: AbortSignal): Promise<void> {
    const { client, log } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const asked = performance.now();
      try {
        const reply = await client.stops(signal);
        failures = 0;
        for (const id of reply.jobIds) this.#stopJob(id);
        // Held answers already pace the loop.
        const wait = performance.now() - asked >= STOP_PAUSE_MS ? 0 : stopPause(reply.jobIds);
        await pause(Math.max(wait, reply.waitMs), signal);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        log.debug(`The stop channel failed: ${messageOf(error)}`);
        await pause(backoff(failures, { firstMs: STOP_PAUSE_MS, maxMs: 60_000 }), signal);
      }
    }
  }

  #stopJob(id: string): void {
    const held = this.#running.get(id);
    if (held === undefined) {
      // A stop for a job that has ended came late; one for a job that is not known came early.
      if (!this.#recent.has(id)) this.#stoppedEarly.set(id, performance.now() + EARLY_STOP_MS);
      return;
    }
    if (held.job.stopped) return;
    held.job.stop();
    this.#announce();
  }

  #wasStoppedEarly(id: string): boolean {
    const now = performance.now();
    for (const [old, until] of this.#stoppedEarly) if (until < now) this.#stoppedEarly.delete(old);
    return this.#stoppedEarly.delete(id);
  }

  async #drain(): Promise<void> {
    const { log, drainMs } = this.#options;
    if (this.#running.size === 0) return;
    log.info(`Stopping: ${this.#running.size} jobs are finished first.`);
    const drained = new AbortController();
    const all = Promise.allSettled([...this.#running.values()].map(({ settled }) => settled)).then(
      () => drained.abort(),
    );
    const onHurry = (): void => drained.abort();
    this.#hurry.signal.addEventListener('abort', onHurry, { once: true });
    if (!this.#hurry.signal.aborted) await pause(drainMs, drained.signal);
    if (this.#running.size === 0) return all;
    log.warn(`The deadline has passed: ${this.#running.size} jobs are aborted.`);
    for (const { job } of this.#running.values()) job.abort(endOfWorker());
    const finished = new AbortController();
    void all.then(() => finished.abort());
    await pause(GRACE_MS, finished.signal);
    this.#abandon.abort(endOfWorker());
  }

  /** Jobs that the platform has stopped are no longer ours to report. */
  #announce(): void {
    const held = [...this.#running.values()]
      .filter(({ job }) => !job.stopped)
      .map(({ job }) => job.id);
    this.#options.onJobs(held);
  }
}

/** An answer with ids may be followed by more; an empty one that came at once is not hammered. */
function stopPause(ids: readonly string[]): number {
  return ids.length > 0 ? 0 : STOP_PAUSE_MS;
}

function endOfWorker(): JobError {
  return new JobError(
    'JOB_ABORTED',
    'The worker was shut down before the job was done. Send it again',
  );
}
