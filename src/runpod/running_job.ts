/** One job from its delivery to its posted result. */
import { JobError, messageOf } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import type { RunpodClient } from './client.js';
import { checkJob, generatorOf, type Handler, type Job, type Overflow } from './job.js';
import { JobReporter } from './reporter.js';
import { errorOf, errorText, failureOf, resultOf, type Reporter, type Result } from './result.js';

export interface JobOptions {
  client: RunpodClient;
  handler: Handler;
  /** Put all chunks of a stream into the result too. */
  aggregateStream: boolean;
  /** Ask for a fresh worker with the result. */
  refreshWorker: boolean;
  overflow: Overflow | undefined;
  reporter: Reporter;
  log: Logger;
}

/** What was posted as a job's result, and that it arrived. */
export interface PostedResult {
  result: Result;
  isStream: boolean;
}

export class RunningJob {
  readonly id: string;
  readonly #options: JobOptions;
  readonly #delivery: unknown;
  readonly #controller = new AbortController();
  readonly #reporter: JobReporter;
  readonly #abandon: AbortSignal;
  #stopped = false;

  /** `abandon` gives up posting: the worker's time is over. */
  constructor(id: string, delivery: unknown, options: JobOptions, abandon: AbortSignal) {
    this.id = id;
    this.#delivery = delivery;
    this.#options = { ...options, log: options.log.forRequest(id) };
    this.#abandon = abandon;
    this.#reporter = new JobReporter(options.client, id, this.#options.log, abandon);
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** The platform wants the job no longer: it is aborted and nothing more is posted. */
  stop(): void {
    this.#stopped = true;
    this.#reporter.close();
    this.abort(new JobError('JOB_STOPPED', 'The platform stopped the job'));
  }

  /** Aborts the handler; what comes of it is posted. */
  abort(reason: JobError): void {
    this.#controller.abort(reason);
  }

  /** Never rejects. Resolves with what the platform has taken, if it has. */
  async run(): Promise<PostedResult | undefined> {
    const { log } = this.#options;
    const started = performance.now();
    log.info('Started.');
    const { job, result, isStream } = await this.#handle();
    if (this.#stopped) {
      log.info('Stopped by the platform.');
      return undefined;
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    try {
      await this.#reporter.finish(result, isStream, this.#keeper(job));
      if (result.error === undefined) log.info(`Finished in ${seconds} s.`);
      return { result, isStream };
    } catch (error) {
      log.error(`The result is lost: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** Posts a result that the platform had before: it has delivered the job again. Never rejects. */
  async postAgain(posted: PostedResult): Promise<PostedResult | undefined> {
    const { log } = this.#options;
    log.info('Delivered again after its end; its result is posted again.');
    try {
      await this.#reporter.finish(posted.result, posted.isStream);
    } catch (error) {
      log.error(`The result could not be posted again: ${messageOf(error)}`);
    }
    return posted;
  }

  async #handle(): Promise<PostedResult & { job: Job | undefined }> {
    const { log, handler, refreshWorker, reporter } = this.#options;
    let job: Job | undefined;
    let isStream = false;
    try {
      job = checkJob(this.id, this.#delivery);
      const returned: unknown = await handler(job, {
        signal: this.#controller.signal,
        progress: (value) => this.#reporter.progress(value),
        log,
      });
      const generator = generatorOf(returned);
      isStream = generator !== undefined;
      const output = generator ? await this.#streamAll(generator) : returned;
      return { job, isStream, result: resultOf(output, refreshWorker) };
    } catch (error) {
      if (!this.#stopped) log.error(`Failed: ${messageOf(error)}`);
      return { job, isStream, result: failureOf(error, reporter, refreshWorker) };
    }
  }

  /** Posts the chunks; an error among them ends the stream and becomes the result. */
  async #streamAll(chunks: AsyncIterable<unknown> | Iterable<unknown>): Promise<unknown> {
    // Without a stream channel the result is the only way out.
    const keep = this.#options.aggregateStream || !this.#options.client.hasStream;
    const kept: unknown[] = [];
    for await (const chunk of chunks) {
      this.#controller.signal.throwIfAborted();
      const error = errorOf(chunk);
      if (error !== undefined) return { error: errorText(error) };
      await this.#reporter.chunk(chunk);
      if (keep) kept.push(chunk);
    }
    return kept;
  }

  #keeper(job: Job | undefined): ((outputJson: string) => Promise<unknown>) | undefined {
    const { overflow } = this.#options;
    if (overflow === undefined || job === undefined) return undefined;
    return (outputJson) => overflow(job, outputJson, this.#abandon);
  }
}
