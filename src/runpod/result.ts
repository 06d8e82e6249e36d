/** The bodies of job-done, as RunPod's own SDK writes them. */
import { JobError, messageOf, VoxpodError } from '../../lib/errors.js';

/** Who reports an error. */
export interface Reporter {
  workerId: string;
  hostname: string;
  version: string;
}

/** Longest message and traceback in an error, so that the report of a large failure is small. */
const MAX_MESSAGE = 8192;
const MAX_TRACEBACK = 16_384;

/** How a job ended, as it is posted. */
export interface Result {
  /** JSON text; undefined where there is no output. */
  outputJson: string | undefined;
  /** Fails the job. */
  error: string | undefined;
  /** Ask for a fresh worker. */
  stopPod: boolean;
}

/**
 * The result for what a handler returned. An object may carry `error` (the job failed) and
 * `refresh_worker` (restart this worker afterwards) beside its output.
 * @throws JobError RESULT_INVALID where it has no JSON form.
 */
export function resultOf(value: unknown, refresh: boolean): Result {
  if (!isPlainObject(value)) {
    return { outputJson: serialize(value ?? null), error: undefined, stopPod: refresh };
  }
  const { error, refresh_worker: refreshWorker, ...output } = value;
  const bare = Object.keys(output).length === 0;
  return {
    // RunPod's SDK leaves an empty output out.
    outputJson: bare ? undefined : serialize(output),
    error: error ? errorText(error) : undefined,
    stopPod: refresh || Boolean(refreshWorker),
  };
}

/** The result of a job that failed: `error` is JSON text with the keys of RunPod's SDK and our code. */
export function failureOf(error: unknown, reporter: Reporter, refresh = false): Result {
  const code = codeOf(error);
  const report = {
    error_type: error instanceof Error ? error.name : typeof error,
    error_message: shorten(thrownText(error), MAX_MESSAGE),
    error_traceback: shorten(tracebackOf(error), MAX_TRACEBACK),
    hostname: reporter.hostname,
    worker_id: reporter.workerId,
    runpod_version: reporter.version,
    ...(code === undefined ? {} : { code }),
  };
  return { outputJson: undefined, error: JSON.stringify(report), stopPod: refresh };
}

/** The body of job-done. */
export function doneBody({ outputJson, error, stopPod }: Result): string {
  const members: string[] = [];
  if (outputJson !== undefined) members.push(`"output":${outputJson}`);
  if (error !== undefined) members.push(`"error":${JSON.stringify(error)}`);
  if (stopPod) members.push('"stopPod":true');
  return `{${members.join(',')}}`;
}

export function progressBody(value: unknown): string {
  return `{"status":"IN_PROGRESS","output":${serialize(value ?? null)}}`;
}

export function chunkBody(value: unknown): string {
  return `{"output":${serialize(value ?? null)}}`;
}

/** The platform wants errors as strings. */
export function errorText(error: unknown): string {
  return typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error));
}

/** A chunk or result that is an error: `{"error": ...}`. */
export function errorOf(value: unknown): unknown {
  return isPlainObject(value) && value['error'] ? value['error'] : undefined;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  // Objects with a form of their own (Date, Buffer) are values, not bags of keys.
  return !('toJSON' in value && typeof value.toJSON === 'function');
}

/** JSON.stringify has no text for functions and symbols. */
function serialize(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new JobError(
      'RESULT_INVALID',
      `The handler's output has no JSON form: ${messageOf(cause)}`,
      { cause },
    );
  }
  if (text !== undefined) return text;
  throw new JobError(
    'RESULT_INVALID',
    `The handler's output is a ${typeof value}, not a JSON value`,
  );
}

function thrownText(error: unknown): string {
  if (error instanceof Error || typeof error === 'string') return messageOf(error);
  try {
    return JSON.stringify(error) ?? String(error);
  } catch {
    return Object.prototype.toString.call(error);
  }
}

function tracebackOf(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  // Causes may form a ring.
  for (let depth = 0; depth < 5 && current !== undefined; depth += 1) {
    parts.push(current instanceof Error ? (current.stack ?? String(current)) : thrownText(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join('\nCaused by: ');
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof VoxpodError) return error.code;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return undefined;
}

function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}... (${text.length} characters)`;
}
