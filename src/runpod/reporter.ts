/**
 * What one job sends to the platform, in order: progress and chunks as they come, the result last,
 * nothing after it and nothing at all once the platform has stopped the job.
 */
import { messageOf } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import type { RunpodClient } from './client.js';
import { chunkBody, progressBody, type Result } from './result.js';

export class JobReporter {
  readonly #client: RunpodClient;
  readonly #jobId: string;
  readonly #log: Logger;
  readonly #abandon: AbortSignal;
  /** The post on its way, and those behind it. */
  #tail: Promise<void> = Promise.resolve();
  /** The newest report that waits; older ones that had not left yet are outdated. */
  #progress: string | undefined;
  #closed = false;

  /** `abandon` gives up posting: the worker's time is over. */
  constructor(client: RunpodClient, jobId: string, log: Logger, abandon: AbortSignal) {
    this.#client = client;
    this.#jobId = jobId;
    this.#log = log;
    this.#abandon = abandon;
  }

  /** Reports soon and returns at once; of several reports that wait the last one is sent. */
  progress(value: unknown): void {
    if (this.#closed) {
      this.#log.debug('Progress after the end of the job is ignored');
      return;
    }
    let body: string;
    try {
      body = progressBody(value);
    } catch (error) {
      this.#log.warn(`Progress is not reported: ${messageOf(error)}`);
      return;
    }
    const waits = this.#progress !== undefined;
    this.#progress = body;
    if (!waits) void this.#append(() => this.#sendProgress());
  }

  /**
   * Posts one chunk of a stream.
   * @throws JobError RESULT_INVALID, RESULT_REFUSED.
   */
  async chunk(value: unknown): Promise<void> {
    const body = chunkBody(value);
    await this.#append(async () => {
      if (!this.#closed) await this.#client.stream(this.#jobId, body, this.#abandon);
    });
  }

  /** Posts the result when everything before it has left; `keep` is given an output too large. */
  async finish(
    result: Result,
    isStream: boolean,
    keep?: (outputJson: string) => Promise<unknown>,
  ): Promise<void> {
    if (this.#closed) return;
    this.close();
    await this.#append(() => this.#client.done(this.#jobId, result, isStream, this.#abandon, keep));
  }

  /** From now on nothing is posted. */
  close(): void {
    this.#closed = true;
    this.#progress = undefined;
  }

  async #sendProgress(): Promise<void> {
    const body = this.#progress;
    this.#progress = undefined;
    if (body !== undefined) await this.#client.progress(this.#jobId, body, this.#abandon);
  }

  #append(post: () => Promise<void>): Promise<void> {
    const posted = this.#tail.then(post);
    this.#tail = posted.catch(() => undefined);
    return posted;
  }
}
