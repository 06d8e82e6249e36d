/** What a handler is given and what it may return. */
import { JobError } from '../../lib/errors.js';
import type { Logger } from '../log.js';

/** A job as RunPod delivers it; unknown keys (webhook, batchId, ...) are kept. */
export interface Job {
  id: string;
  /** Never null; otherwise whatever the client sent. */
  input: unknown;
  [key: string]: unknown;
}

export interface JobContext {
  /** Aborts when the platform stops the job (cancelled, expired) or the worker must end. */
  signal: AbortSignal;
  /** Reports progress to whoever asks for the job's status. Any JSON value. */
  progress(value: unknown): void;
  /** The worker's log, each line marked with the job's id. */
  log: Logger;
}

/**
 * Runs one job: returns its output or a promise of it, or is a generator whose values are streamed.
 * What it throws fails the job. An object may carry `error` and `refresh_worker` beside its output.
 */
export type Handler = (job: Job, context: JobContext) => unknown;

/**
 * Keeps an output that is too large for the platform, given as JSON text, and returns what is posted
 * in its place (a link, say). Rejects where it cannot be kept; the job then fails.
 */
export type Overflow = (job: Job, outputJson: string, signal: AbortSignal) => Promise<unknown>;

/** Which job a delivery is; undefined where it has no id, so that nobody can be told about it. */
export function jobId(delivery: unknown): string | undefined {
  if (typeof delivery !== 'object' || delivery === null || !('id' in delivery)) return undefined;
  return typeof delivery.id === 'string' && delivery.id !== '' ? delivery.id : undefined;
}

/** @throws JobError JOB_INVALID where there is no input. */
export function checkJob(id: string, delivery: unknown): Job {
  const job: Record<string, unknown> = { ...(delivery as object) };
  const input = job['input'];
  if (input === undefined || input === null) {
    throw new JobError('JOB_INVALID', 'The job has no input: send {"input": {...}}');
  }
  return { ...job, id, input };
}

/** The iterator of a generator, or undefined for any other value (arrays and strings are values). */
export function generatorOf(
  value: unknown,
): AsyncIterable<unknown> | Iterable<unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!('next' in value) || typeof value.next !== 'function') return undefined;
  return isAsyncIterable(value) || isIterable(value) ? value : undefined;
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return Symbol.asyncIterator in value;
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value;
}
