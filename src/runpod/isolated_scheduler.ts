/** Which jobs are in the handler's process, which wait for it, and what becomes of them when it dies. */
import { JobError } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import { IsolatedJob } from './isolated_job.js';
import type { Death, IsolatedProcess } from './isolated_process.js';
import { packError, type ChildMessage, type EngineLoad } from './isolated_protocol.js';
import type { Job, JobContext } from './job.js';

export interface SchedulerOptions {
  log: Logger;
  /** Undefined to follow the load. */
  concurrency: number | undefined;
  maxConcurrency: number;
  abortMs: number;
  /** Kills the process, so that another takes its place. */
  replace(): void;
}

export class IsolatedScheduler {
  readonly #options: SchedulerOptions;
  #process: IsolatedProcess | undefined;
  #load: EngineLoad | undefined;
  #keys = 0;
  /** In the process, by their keys. */
  readonly #inside = new Map<number, IsolatedJob>();
  /** Given up here, but still in the process. */
  readonly #abandoned = new Set<number>();
  readonly #waiting: IsolatedJob[] = [];
  /**
   * Jobs that were in the process together when it died: one of them may kill it again. Each is run
   * alone, before anything else is, so that the one that does so takes none with it.
   */
  readonly #suspects: IsolatedJob[] = [];
  #onTrial: IsolatedJob | undefined;
  /** Aborted, but it holds the process up and must be killed with it. */
  #culprit: IsolatedJob | undefined;
  #refusal: JobError | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** As a handler: resolves with the output, or with a generator. */
  async run(job: Job, context: JobContext): Promise<unknown> {
    const { signal } = context;
    signal.throwIfAborted();
    if (this.#refusal) throw this.#refusal;
    const entry = new IsolatedJob(++this.#keys, job, context, (asking, what) => {
      if (this.#inside.has(asking.key)) this.#process?.send({ type: what, key: asking.key });
    });
    const onAbort = (): void => this.#abort(entry);
    signal.addEventListener('abort', onAbort, { once: true });
    entry.onEnd = () => signal.removeEventListener('abort', onAbort);
    this.#waiting.push(entry);
    this.#pump();
    const returned = await entry.returned;
    return returned.stream ? entry.chunks() : returned.value;
  }

  /**
   * The number of jobs to hold. The engine is kept busy while it computes `capacity` jobs and as many
   * wait behind them, ready to go on at once; more would be hoarded, while other workers may be idle.
   * Jobs that download meanwhile come on top, and so do those that the engine has done with and whose
   * results are still on their way: neither need the engine now.
   *
   *     limit = min(maximum, 2 * capacity + preparing + done)
   *
   * A job that was taken but not yet reported counts as one for the engine. None are taken while there
   * is no process to run them, nor while suspects are tried.
   */
  concurrency(running: number): number {
    if (this.#process === undefined || this.#onTrial !== undefined) return 0;
    if (this.#options.concurrency !== undefined) return this.#options.concurrency;
    const { capacity, preparing } = this.#load ?? { capacity: 0.5, preparing: 0 };
    const held = this.#inside.size + this.#waiting.length + this.#suspects.length;
    const done = Math.max(0, running - held);
    return Math.min(this.#options.maxConcurrency, Math.floor(2 * capacity) + preparing + done);
  }

  ready(process: IsolatedProcess): void {
    this.#process = process;
    this.#pump();
  }

  receive(message: ChildMessage): void {
    if (message.type === 'load') this.#load = message.load;
    if (!('key' in message)) return;
    const { key } = message;
    const entry = this.#inside.get(key);
    if (entry === undefined) {
      // It came to its end after all.
      if (isLast(message)) this.#abandoned.delete(key);
      return;
    }
    if (isLast(message)) this.#inside.delete(key);
    entry.receive(message);
    if (entry.ended) this.#left(entry);
  }

  /** Returns whether a job was in the process. */
  died(death: Death): boolean {
    const inside = [...this.#inside.values()];
    const together = inside.length + this.#abandoned.size;
    const culprit = this.#culprit;
    this.#process = undefined;
    this.#load = undefined;
    this.#culprit = undefined;
    this.#onTrial = undefined;
    this.#inside.clear();
    this.#abandoned.clear();
    const innocent: IsolatedJob[] = [];
    for (const entry of inside) {
      const { signal } = entry.context;
      if (entry === culprit || together === 1 || !entry.repeatable) {
        entry.fail(crashed(death, entry === culprit, together));
      } else if (signal.aborted) {
        entry.fail(signal.reason);
      } else {
        innocent.push(entry);
      }
    }
    if (culprit !== undefined) {
      this.#waiting.unshift(...innocent);
    } else if (innocent.length > 0) {
      this.#suspects.unshift(...innocent);
      this.#options.log.warn(
        `${together} jobs were in the process that died. The ${innocent.length} that can be repeated are run again, one at a time.`,
      );
    }
    return together > 0;
  }

  /** Fails what is held, and whatever comes from now on. */
  refuse(error: JobError): void {
    this.#refusal = error;
    const held = [...this.#inside.values(), ...this.#waiting, ...this.#suspects];
    this.#inside.clear();
    this.#waiting.length = 0;
    this.#suspects.length = 0;
    for (const entry of held) entry.fail(error);
  }

  #pump(): void {
    if (this.#process === undefined || this.#onTrial !== undefined) return;
    if (this.#suspects.length > 0) {
      if (this.#inside.size > 0) return;
      // A job that did not end here would stand trial, too.
      if (this.#abandoned.size > 0) return this.#options.replace();
      this.#onTrial = this.#suspects.shift();
      if (this.#onTrial !== undefined) this.#dispatch(this.#onTrial);
      return;
    }
    for (const entry of this.#waiting.splice(0)) this.#dispatch(entry);
  }

  #dispatch(entry: IsolatedJob): void {
    this.#inside.set(entry.key, entry);
    this.#process?.send({ type: 'run', key: entry.key, job: entry.job });
  }

  /** A job has left the process. */
  #left(entry: IsolatedJob): void {
    if (this.#onTrial === entry) this.#onTrial = undefined;
    this.#pump();
  }

  #abort(entry: IsolatedJob): void {
    const { signal, log } = entry.context;
    const process = this.#process;
    if (process === undefined || !this.#inside.has(entry.key)) {
      for (const queue of [this.#waiting, this.#suspects]) {
        const place = queue.indexOf(entry);
        if (place >= 0) queue.splice(place, 1);
      }
      entry.fail(signal.reason);
      return;
    }
    process.send({ type: 'abort', key: entry.key, reason: packError(signal.reason) });
    const answered = process.ping();
    const timer = setTimeout(() => {
      if (entry.ended || !this.#inside.has(entry.key)) return;
      if (answered()) {
        log.warn('The job goes on in spite of its abort; it is given up.');
        this.#inside.delete(entry.key);
        this.#abandoned.add(entry.key);
        entry.fail(signal.reason);
        this.#left(entry);
      } else {
        log.error(
          "The job does not heed its abort and holds up the handler's process: killing it.",
        );
        this.#culprit = entry;
        this.#options.replace();
      }
    }, this.#options.abortMs);
    timer.unref();
  }
}

/** The process has done with the job. */
function isLast(message: ChildMessage): boolean {
  return message.type === 'value' || message.type === 'end' || message.type === 'error';
}

function crashed(death: Death, killed: boolean, together: number): JobError {
  const { how, lastWords } = death;
  const why = killed
    ? "The job held up the handler's process after its abort, so that it had to be killed"
    : `The process that ran the job ended with ${how}`;
  const others = killed || together === 1 ? '' : `, with ${together} jobs in it`;
  const last = lastWords === '' ? '' : `. The last lines of its standard error:\n${lastWords}`;
  return new JobError('ENGINE_CRASHED', `${why}${others}${last}`);
}
