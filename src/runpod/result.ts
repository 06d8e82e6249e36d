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

/**
 * The body for what a handler returned. An object may carry `error` (the job failed) and
 * `refresh_worker` (restart this worker afterwards) beside its output.
 * @throws JobError RESULT_INVALID where it has no JSON form.
 */
export function resultBody(value: unknown, refresh: boolean): string {
  const body: Record<string, unknown> = {};
  if (isPlainObject(value)) {
    const { error, refresh_worker: refreshWorker, ...output } = value;
    if (Object.keys(output).length > 0) body['output'] = output;
    if (error) body['error'] = errorText(error);
    if (refreshWorker || refresh) body['stopPod'] = true;
  } else {
    body['output'] = value ?? null;
    if (refresh) body['stopPod'] = true;
  }
  return serialize(body, value);
}

export function progressBody(value: unknown): string {
  return serialize({ status: 'IN_PROGRESS', output: value ?? null }, value);
}

export function chunkBody(value: unknown): string {
  return serialize({ output: value ?? null }, value);
}

/** The body for a job that failed: `error` is JSON text with the keys of RunPod's SDK and our code. */
export function errorBody(error: unknown, reporter: Reporter, refresh = false): string {
  const report = {
    error_type: error instanceof Error ? error.name : typeof error,
    error_message: shorten(thrownText(error), MAX_MESSAGE),
    error_traceback: shorten(tracebackOf(error), MAX_TRACEBACK),
    hostname: reporter.hostname,
    worker_id: reporter.workerId,
    runpod_version: reporter.version,
    ...(codeOf(error) === undefined ? {} : { code: codeOf(error) }),
  };
  return JSON.stringify({ error: JSON.stringify(report), ...(refresh ? { stopPod: true } : {}) });
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

function serialize(body: object, value: unknown): string {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new JobError(
      'RESULT_INVALID',
      `The handler returned a ${typeof value}, not a JSON value`,
    );
  }
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw new JobError(
      'RESULT_INVALID',
      `The handler's output has no JSON form: ${messageOf(cause)}`,
      { cause },
    );
  }
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
