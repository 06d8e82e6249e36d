/** Sends a job to an endpoint with runpod-sdk and follows it to its end. */
import { isDeepStrictEqual } from 'node:util';
import runpodSdk from 'runpod-sdk';
import { JobError, messageOf } from '../../lib/errors.js';
import { backoff, pause } from '../runpod/retry.js';
import type { JobRequest } from './request.js';

export type Endpoint = NonNullable<ReturnType<ReturnType<typeof runpodSdk>['endpoint']>>;

/** What the status call answers; times in milliseconds. */
export interface JobStatus {
  id: string;
  status: string;
  output?: unknown;
  error?: unknown;
  delayTime?: number;
  executionTime?: number;
}

export interface SubmitOptions {
  /** Cancels the job; the promise then rejects with the signal's reason. */
  signal: AbortSignal;
  /** Called at each change of the state, with IN_QUEUE first. */
  onState?: (status: JobStatus) => void;
  /** Gets the handler's reports of progress. */
  onProgress?: (value: unknown) => void;
  /** Gets the chunks of a handler that streams, in order. */
  onChunk?: (chunk: unknown) => void;
}

/** RunPod's own address with `endpointId`, or `baseUrl` of a local platform. */
export function connect(key: string, endpointId: string, baseUrl?: string): Endpoint {
  const sdk = baseUrl === undefined ? runpodSdk(key) : runpodSdk(key, { baseUrl });
  const endpoint = sdk.endpoint(endpointId);
  if (!endpoint) throw new Error('runpod-sdk gave no endpoint');
  return endpoint;
}

/** For a payload of 10 MB on a slow line; runpod-sdk's default is 3 s. */
const SUBMIT_TIMEOUT_MS = 120_000;
const CALL_TIMEOUT_MS = 20_000;
/** Between two questions for the state: short ones first, for short jobs. */
const POLL = { firstMs: 100, maxMs: 1000 };
/** A job on its way is worth some patience with the network: about a minute in all. */
const MOST_FAILURES = 8;
const RETRY = { firstMs: 500, maxMs: 15_000 };

const FINAL = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT']);

/**
 * Resolves with the job's last status, whatever it is.
 * @throws JobError JOB_FAILED where the endpoint refuses the job or is out of reach for too long.
 */
export async function submitJob(
  endpoint: Endpoint,
  request: JobRequest,
  options: SubmitOptions,
): Promise<JobStatus> {
  const { signal } = options;
  signal.throwIfAborted();
  const { id, status } = await call(() => endpoint.run(request, SUBMIT_TIMEOUT_MS));
  if (!id) throw new JobError('JOB_FAILED', 'The endpoint took the job but gave no id for it');
  try {
    signal.throwIfAborted();
    options.onState?.({ id, status });
    const chunks = followChunks(endpoint, id, options);
    // Its failure is looked at when the state is final, and is nobody's business before.
    chunks.catch(() => undefined);
    const last = await followState(endpoint, { id, status }, options);
    await chunks;
    signal.throwIfAborted();
    return last;
  } catch (error) {
    // Nobody waits for it any longer; it may have ended by itself, and then there is nothing to do.
    await endpoint.cancel(id, CALL_TIMEOUT_MS).catch(() => undefined);
    throw error;
  }
}

/** Workers report errors as JSON in a string, with the traceback of code that is not the user's. */
export function failureOf({ status, error }: JobStatus): JobError {
  let text = typeof error === 'string' ? error : JSON.stringify(error ?? 'no reason given');
  try {
    const report: unknown = JSON.parse(text);
    if (typeof report === 'object' && report !== null && 'error_message' in report) {
      const code = 'code' in report ? ` (${String(report.code)})` : '';
      text = `${String(report.error_message)}${code}`;
    }
  } catch {
    // Plain text.
  }
  return new JobError('JOB_FAILED', `The job is ${status}: ${text}`);
}

async function followState(
  endpoint: Endpoint,
  first: JobStatus,
  { signal, onState, onProgress }: SubmitOptions,
): Promise<JobStatus> {
  let before = first;
  for (let asked = 1; ; asked += 1) {
    const now = await persistently(signal, async (): Promise<JobStatus> =>
      endpoint.status(first.id, CALL_TIMEOUT_MS),
    );
    if (now.status !== before.status) onState?.(now);
    if (FINAL.has(now.status)) return now;
    if (now.output !== undefined && !isDeepStrictEqual(now.output, before.output)) {
      onProgress?.(now.output);
    }
    before = now;
    await pause(backoff(asked, POLL), signal);
    signal.throwIfAborted();
  }
}

/**
 * Ends with the job; an endpoint that streams nothing yields nothing.
 * @throws JobError JOB_FAILED where a stream that had begun is cut off: its output has a hole.
 */
async function followChunks(
  endpoint: Endpoint,
  id: string,
  { signal, onChunk }: SubmitOptions,
): Promise<void> {
  if (onChunk === undefined) return;
  let begun = false;
  try {
    for await (const chunk of endpoint.stream(id)) {
      if (signal.aborted) return;
      begun = true;
      const value: unknown = chunk;
      onChunk(
        typeof value === 'object' && value !== null && 'output' in value ? value.output : value,
      );
    }
  } catch (error) {
    // runpod-sdk throws where an endpoint has no stream; the result does not depend on it.
    if (!begun) return;
    throw new JobError('JOB_FAILED', `The stream was cut off: ${messageOf(error)}. Send it again`, {
      cause: error,
    });
  }
}

/** Repeats a call that fails for a reason that may pass. */
async function persistently<Result>(
  signal: AbortSignal,
  act: () => Promise<Result>,
): Promise<Result> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await call(act);
    } catch (error) {
      if (failures === MOST_FAILURES || !(error instanceof CallError) || !error.passing)
        throw error;
      await pause(backoff(failures, RETRY), signal);
      signal.throwIfAborted();
    }
  }
}

class CallError extends JobError {
  /** The server's or the network's trouble, not the call's. */
  readonly passing: boolean;

  constructor(cause: unknown) {
    const status = statusOf(cause);
    super('JOB_FAILED', describe(cause, status), { cause });
    this.passing = status === undefined || status >= 500 || status === 429 || status === 408;
  }
}

async function call<Result>(act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw new CallError(error);
  }
}

function describe(error: unknown, status: number | undefined): string {
  switch (status) {
    case undefined: {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      return `The endpoint cannot be reached: ${messageOf(cause)}`;
    }
    case 401:
    case 403:
      return `The endpoint refused the key (HTTP ${status})`;
    case 404:
      return 'The endpoint or job does not exist (HTTP 404)';
    default:
      return `The endpoint answered HTTP ${status}${bodyOf(error)}`;
  }
}

/** runpod-sdk throws its HTTP client's errors, which carry the response. */
function responseOf(error: unknown): Record<string, unknown> | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  const { response } = error;
  return typeof response === 'object' && response !== null ? { ...response } : undefined;
}

function statusOf(error: unknown): number | undefined {
  const status = responseOf(error)?.['status'];
  return typeof status === 'number' ? status : undefined;
}

function bodyOf(error: unknown): string {
  const data = responseOf(error)?.['data'];
  return data === undefined || data === '' ? '' : `: ${JSON.stringify(data).slice(0, 300)}`;
}
