/** The worker's side of RunPod's HTTP protocol: one method for each call. */
import { JobError, messageOf } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import { withQuery, type RunpodEnvironment } from './environment.js';
import { exchange, HttpFailure, type HttpReply } from './http.js';
import { doneBody, failureOf, resultOf, type Reporter, type Result } from './result.js';
import { backoff, pause, RESULT_RETRY, type RetryPolicy } from './retry.js';

/** RunPod's SDK gives a long poll up after this. */
const POLL_TIMEOUT_MS = 90_000;
/** For one attempt to post a result or chunk: 20 MB over a slow line. */
const POST_TIMEOUT_MS = 120_000;
/** A progress report is soon outdated, and a result waits for the one on its way. */
const PROGRESS_TIMEOUT_MS = 10_000;
/** What the platform asks for with 429. */
const THROTTLED_MS = 5000;
/** After a 400, which FlashBoot answers while it holds the worker back. */
const REFUSED_MS = 500;

export interface ClientOptions {
  log: Logger;
  reporter: Reporter;
  retry?: RetryPolicy;
  /** Results above it are not even tried. Default 20 MiB, RunPod's largest documented payload. */
  maxResultBytes?: number;
}

export interface TakeReply {
  /** As they came: not yet validated. */
  jobs: unknown[];
  /** Milliseconds to wait before the next call. */
  waitMs: number;
}

export interface StopReply {
  jobIds: string[];
  waitMs: number;
}

/** An answer that the protocol does not know. */
export class UnexpectedStatus extends Error {
  override name = 'UnexpectedStatus';

  constructor(
    readonly status: number,
    body: string,
  ) {
    super(`HTTP ${status}${body === '' ? '' : `: ${body.slice(0, 200)}`}`);
  }
}

export class RunpodClient {
  readonly #environment: RunpodEnvironment;
  readonly #log: Logger;
  readonly #reporter: Reporter;
  readonly #retry: RetryPolicy;
  readonly #maxResultBytes: number;
  readonly #headers: Record<string, string>;
  #batches: boolean;

  constructor(environment: RunpodEnvironment, options: ClientOptions) {
    this.#environment = environment;
    this.#log = options.log;
    this.#reporter = options.reporter;
    this.#retry = options.retry ?? RESULT_RETRY;
    this.#maxResultBytes = options.maxResultBytes ?? 20 * 1024 * 1024;
    this.#batches = environment.takeBatchUrl !== undefined;
    this.#headers = {
      'User-Agent': `voxpod/${options.reporter.version} (${process.platform}; ${process.arch}) Language/Node ${process.versions.node}`,
      ...(environment.apiKey === undefined ? {} : { Authorization: environment.apiKey }),
    };
  }

  /**
   * Asks for up to `count` jobs and waits until there is one or the platform has none for now.
   * @throws HttpFailure, UnexpectedStatus; the signal's reason when it aborts before an answer.
   */
  async take(count: number, busy: boolean, signal: AbortSignal): Promise<TakeReply> {
    const batch = count > 1 && this.#batches ? this.#environment.takeBatchUrl : undefined;
    const url = withQuery(batch ?? this.#environment.takeUrl, {
      ...(batch === undefined ? {} : { batch_size: count }),
      job_in_progress: busy ? 1 : 0,
    });
    const reply = await this.#poll(url, signal);
    if (batch !== undefined && (reply.status === 404 || reply.status === 405)) {
      this.#batches = false;
      this.#log.debug('The platform has no job-take-batch; taking jobs one by one');
      return { jobs: [], waitMs: 0 };
    }
    switch (reply.status) {
      case 200:
        return { jobs: jobsOf(reply), waitMs: 0 };
      case 204:
        return { jobs: [], waitMs: 0 };
      case 400:
        return { jobs: [], waitMs: REFUSED_MS };
      case 429:
        return { jobs: [], waitMs: THROTTLED_MS };
      default:
        throw new UnexpectedStatus(reply.status, reply.body);
    }
  }

  /** True where the platform tells which jobs to stop. */
  get hasStops(): boolean {
    return this.#environment.stopUrl !== undefined;
  }

  /**
   * Waits for the ids of jobs to stop.
   * @throws as `take`.
   */
  async stops(signal: AbortSignal): Promise<StopReply> {
    const reply = await this.#poll(this.#environment.stopUrl ?? '', signal);
    if (reply.status === 429) return { jobIds: [], waitMs: THROTTLED_MS };
    if (reply.status === 204) return { jobIds: [], waitMs: 0 };
    if (reply.status !== 200) throw new UnexpectedStatus(reply.status, reply.body);
    return { jobIds: stopsOf(reply), waitMs: 0 };
  }

  /** True where chunks can be posted one by one. */
  get hasStream(): boolean {
    return this.#environment.streamUrl !== undefined;
  }

  /**
   * Posts a chunk of a generator's output, through faults, until the platform has it.
   * @throws JobError RESULT_REFUSED where the platform refuses it or cannot be reached for too long.
   */
  async stream(jobId: string, body: string, signal: AbortSignal): Promise<void> {
    const url = this.#environment.streamUrl?.(jobId);
    if (url === undefined) return;
    const reply = await this.#deliver(withQuery(url, { isStream: 'false' }), jobId, body, signal);
    if (!isSuccess(reply.status)) throw refused(reply, body);
  }

  /**
   * Posts a job's result, through faults, until the platform has it. An output that is too large for
   * the platform is given to `keep`, and what that returns is posted in its place; without `keep`,
   * and for a result that is refused otherwise, a small error says so, so that no job is left hanging.
   * @throws HttpFailure, UnexpectedStatus when not even that arrived.
   */
  async done(
    jobId: string,
    result: Result,
    isStream: boolean,
    signal: AbortSignal,
    keep?: (outputJson: string) => Promise<unknown>,
  ): Promise<void> {
    const url = withQuery(this.#environment.doneUrl(jobId), { isStream: String(isStream) });
    let problem: unknown = await this.#offer(url, jobId, result, signal);
    if (problem === undefined) return;
    const { outputJson } = result;
    if (keep !== undefined && outputJson !== undefined && isTooLarge(problem)) {
      try {
        const kept = resultOf(await keep(outputJson), false);
        problem = await this.#offer(url, jobId, { ...result, outputJson: kept.outputJson }, signal);
        if (problem === undefined) return;
      } catch (error) {
        if (error instanceof HttpFailure || error instanceof UnexpectedStatus) throw error;
        problem = error;
      }
    }
    this.#log.forRequest(jobId).error(messageOf(problem));
    const report = { ...failureOf(problem, this.#reporter), stopPod: result.stopPod };
    const reply = await this.#deliver(url, jobId, doneBody(report), signal);
    if (!isSuccess(reply.status)) throw new UnexpectedStatus(reply.status, reply.body);
  }

  /** Resolves with why the platform does not take the result, or undefined where it did. */
  async #offer(
    url: string,
    jobId: string,
    result: Result,
    signal: AbortSignal,
  ): Promise<JobError | undefined> {
    const body = doneBody(result);
    const bytes = Buffer.byteLength(body);
    if (bytes > this.#maxResultBytes) {
      return new JobError(
        'RESULT_TOO_LARGE',
        `The result has ${bytes} bytes, over RunPod's limit of ${this.#maxResultBytes}. Ask for less in one job`,
      );
    }
    const reply = await this.#deliver(url, jobId, body, signal);
    return isSuccess(reply.status) ? undefined : refused(reply, body);
  }

  /** Posts a progress report once: the next one or the result replaces one that is lost. */
  async progress(jobId: string, body: string, signal: AbortSignal): Promise<void> {
    const url = withQuery(this.#environment.doneUrl(jobId), { isStream: 'false' });
    try {
      const reply = await this.#post(url, jobId, body, PROGRESS_TIMEOUT_MS, signal);
      if (!isSuccess(reply.status)) throw new UnexpectedStatus(reply.status, reply.body);
    } catch (error) {
      this.#log.forRequest(jobId).debug(`Progress was not delivered: ${messageOf(error)}`);
    }
  }

  async #deliver(
    url: string,
    jobId: string,
    body: string,
    signal: AbortSignal,
  ): Promise<HttpReply> {
    let waited = 0;
    for (let attempt = 1; ; attempt += 1) {
      let problem: Error;
      try {
        const reply = await this.#post(url, jobId, body, POST_TIMEOUT_MS, signal);
        if (!isTransient(reply.status)) return reply;
        problem = new UnexpectedStatus(reply.status, reply.body);
      } catch (error) {
        if (!(error instanceof HttpFailure)) throw error;
        problem = error;
      }
      const wait = backoff(attempt, this.#retry);
      waited += wait;
      if (waited > this.#retry.totalMs) throw problem;
      this.#log
        .forRequest(jobId)
        .warn(`Result not delivered (${problem.message}), trying again in ${Math.round(wait)} ms`);
      await pause(wait, signal);
      signal.throwIfAborted();
    }
  }

  #post(
    url: string,
    jobId: string,
    body: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<HttpReply> {
    return exchange(url, {
      method: 'POST',
      body,
      timeoutMs,
      signal,
      headers: {
        ...this.#headers,
        'Content-Type': 'application/x-www-form-urlencoded',
        charset: 'utf-8',
        'X-Request-ID': jobId,
      },
    });
  }

  #poll(url: string, signal: AbortSignal): Promise<HttpReply> {
    return exchange(url, {
      method: 'GET',
      timeoutMs: POLL_TIMEOUT_MS,
      signal,
      headers: { ...this.#headers, 'Content-Type': 'application/json' },
    });
  }
}

/** Worth another attempt: the server's trouble, or too many requests. */
function isTransient(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** RunPod answers a result that is too large with 400. */
class RefusedError extends JobError {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super('RESULT_REFUSED', message);
  }
}

function isTooLarge(problem: unknown): boolean {
  if (problem instanceof RefusedError) return problem.status === 400 || problem.status === 413;
  return problem instanceof JobError && problem.code === 'RESULT_TOO_LARGE';
}

function refused(reply: HttpReply, body: string): RefusedError {
  return new RefusedError(
    reply.status,
    `RunPod refused the result of ${Buffer.byteLength(body)} bytes with HTTP ${reply.status}${reply.body === '' ? '' : ` (${reply.body.slice(0, 200)})`}. A result that is too large is the usual reason: ask for less in one job`,
  );
}

/** A body that is not JSON counts as "no job", as with RunPod's SDK. */
function jobsOf(reply: HttpReply): unknown[] {
  if (!reply.contentType.includes('application/json') || reply.body === '') return [];
  const value: unknown = JSON.parse(reply.body);
  if (value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function stopsOf(reply: HttpReply): string[] {
  try {
    const value: unknown = JSON.parse(reply.body);
    if (typeof value !== 'object' || value === null || !('jobsToStop' in value)) return [];
    const ids: unknown = value.jobsToStop;
    return Array.isArray(ids) ? ids.filter((id): id is string => typeof id === 'string') : [];
  } catch {
    return [];
  }
}
