/** What a worker and the process of its handler say to each other, and how values and errors cross. */
import { JobError, messageOf } from '../../lib/errors.js';
import type { LogLevel } from '../log.js';
import type { Job } from './job.js';

/**
 * How full an engine is, as its module reports it: from this the parent tells how many jobs to take.
 */
export interface EngineLoad {
  /** Jobs that the engine computes at once. */
  capacity: number;
  /** Jobs that are computed or wait for it. */
  engaged: number;
  /** Jobs that will take a while yet to come to the engine (they download, say). */
  preparing: number;
}

/** A job is known by a number: its id may come back while an earlier run of it is still ending. */
export type ParentMessage =
  | { type: 'start'; module: string; settings: unknown }
  | { type: 'run'; key: number; job: Job }
  /** Asks a generator for its next chunk. */
  | { type: 'next'; key: number }
  /** Ends a generator early. */
  | { type: 'return'; key: number }
  | { type: 'abort'; key: number; reason: WireError }
  | { type: 'ping'; serial: number }
  | { type: 'stop' };

export type ChildMessage =
  | { type: 'ready' }
  /** The module could not be started; `check` names what failed. */
  | { type: 'failed'; check: string; error: WireError }
  | { type: 'value'; key: number; value: unknown }
  /** The handler returned a generator. */
  | { type: 'stream'; key: number }
  | { type: 'chunk'; key: number; value: unknown }
  | { type: 'end'; key: number }
  | { type: 'error'; key: number; error: WireError }
  | { type: 'progress'; key: number; value: unknown }
  | { type: 'log'; level: Lowercase<LogLevel>; requestId: string | null; message: string }
  | { type: 'load'; load: EngineLoad }
  | { type: 'pong'; serial: number };

/** The channel also carries what a handler itself sends with process.send. */
export function isMessage(message: unknown): message is { type: string } {
  return typeof message === 'object' && message !== null && 'type' in message;
}

/** Anything thrown; of an Error what a report shows of it. */
export type WireError =
  | {
      kind: 'error';
      name: string;
      message: string;
      code: string | undefined;
      stack: string | undefined;
      cause: WireError | undefined;
    }
  | { kind: 'value'; value: unknown };

/** Causes may form a ring. */
const MOST_CAUSES = 5;

export function packError(error: unknown, depth = 0): WireError {
  if (!(error instanceof Error)) {
    try {
      return { kind: 'value', value: plain(error) };
    } catch {
      return { kind: 'value', value: Object.prototype.toString.call(error) };
    }
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const { name, message, stack, cause } = error;
  const more = cause !== undefined && depth < MOST_CAUSES;
  return {
    ...{ kind: 'error', name, message, code, stack },
    cause: more ? packError(cause, depth + 1) : undefined,
  };
}

/** An error of the other process, with the name, code and traceback it had there. */
export function unpackError(error: WireError): unknown {
  if (error.kind === 'value') return error.value;
  const { name, message, code, stack, cause } = error;
  const options = cause === undefined ? undefined : { cause: unpackError(cause) };
  const revived = new Error(message, options);
  Object.assign(revived, { name, stack: stack ?? `${name}: ${message}` });
  if (code !== undefined) Object.assign(revived, { code });
  return revived;
}

/**
 * The value as the platform will see it. JSON data crosses between processes as it is; for anything
 * else JSON has rules of its own (toJSON, functions left out), which structured cloning has not.
 * @throws JobError RESULT_INVALID where it has no JSON form.
 */
export function plain(value: unknown): unknown {
  if (value === undefined || isPlain(value, 0)) return value;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    const message = `The handler's output has no JSON form: ${messageOf(cause)}`;
    throw new JobError('RESULT_INVALID', message, { cause });
  }
  if (text !== undefined) return JSON.parse(text);
  const message = `The handler's output is a ${typeof value}, not a JSON value`;
  throw new JobError('RESULT_INVALID', message);
}

/** Deeper than any result of sense: it may be a ring, which JSON.stringify tells. */
const DEEPEST = 100;

function isPlain(value: unknown, depth: number): boolean {
  if (value === null) return true;
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'number':
    case 'undefined':
      return true;
    case 'object':
      break;
    default:
      return false;
  }
  if (depth > DEEPEST) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.values(value).every((item) => isPlain(item, depth + 1));
}
