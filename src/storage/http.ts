/** Requests that fail in known ways: what can be tried again, what cannot, and why. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DownloadError, messageOf } from '../../lib/errors.js';
import { networkTrouble } from './network_errors.js';

/** The server answered, with a status that is not 2xx. */
export class HttpStatusError extends DownloadError {
  constructor(
    readonly status: number,
    url: string,
    /** Seconds the server asked to wait, if it did. */
    readonly retryAfter?: number,
  ) {
    super('DOWNLOAD_FAILED', `${withoutQuery(url)} answered with HTTP status ${status}`);
  }
}

/** No server could be reached at that address. */
export class UnreachableError extends DownloadError {}

/** The connection broke or stood still; worth another attempt. */
export class ConnectionError extends DownloadError {}

export interface RequestOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Milliseconds until the response's headers must be there. Default 10 s. */
  timeoutMs?: number;
}

/** One GET. Resolves with a 2xx response; its body is the caller's to read or cancel. */
export async function get(url: string, options: RequestOptions = {}): Promise<Response> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const timer = new AbortController();
  const timeout = setTimeout(() => timer.abort(), timeoutMs);
  const signals = options.signal ? [options.signal, timer.signal] : [timer.signal];
  let response: Response;
  try {
    response = await fetch(url, {
      // A compressed body could not be resumed by byte ranges.
      headers: { 'accept-encoding': 'identity', ...options.headers },
      signal: AbortSignal.any(signals),
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (timer.signal.aborted) {
      throw new UnreachableError(
        'DOWNLOAD_TIMEOUT',
        `${withoutQuery(url)} did not answer within ${timeoutMs / 1000} s`,
        { cause: error },
      );
    }
    throw explain(error, url);
  } finally {
    clearTimeout(timeout);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const after = Number(response.headers.get('retry-after') ?? NaN);
  throw new HttpStatusError(response.status, url, Number.isFinite(after) ? after : undefined);
}

/** Names what broke a request or a body in the middle. */
export function explain(error: unknown, url: string): unknown {
  if (error instanceof DownloadError) return error;
  const cause = error instanceof Error ? error.cause : undefined;
  const code = codeOf(error) ?? codeOf(cause);
  const detail = cause === undefined ? messageOf(error) : messageOf(cause);
  const why = code === undefined || detail.includes(code) ? detail : `${code}: ${detail}`;
  const trouble = networkTrouble(code);
  const noConnection = trouble === 'unreachable' || trouble === 'timeout';
  const Failure = noConnection ? UnreachableError : ConnectionError;
  return new Failure('DOWNLOAD_FAILED', `${withoutQuery(url)} could not be read (${why})`, {
    cause: error,
  });
}

export interface RetryOptions {
  signal?: AbortSignal | undefined;
  /** Tries in all. Default 5. */
  attempts?: number;
  /** Whether an address that nobody answers at is tried again. Default true. */
  retryUnreachable?: boolean;
  /** First pause; doubles each time, with jitter, up to 30 s. Default 500 ms. */
  pauseMs?: number;
  log?: ((line: string) => void) | undefined;
}

/**
 * Runs `work` until it succeeds or fails for good. `work` may call its argument to say that it got
 * further than before, which gives it all its attempts back.
 */
export async function withRetries<T>(
  work: (progressed: () => void) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { attempts = 5, pauseMs = 500, retryUnreachable = true, signal, log } = options;
  let failures = 0;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await work(() => (failures = 0));
    } catch (error) {
      signal?.throwIfAborted();
      failures += 1;
      if (failures >= attempts || !isTransient(error, retryUnreachable)) throw error;
      const pause = pauseBefore(failures, pauseMs, error);
      log?.(`${messageOf(error)}; next attempt in ${(pause / 1000).toFixed(1)} s`);
      await sleep(pause, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
    }
  }
}

function isTransient(error: unknown, retryUnreachable: boolean): boolean {
  if (error instanceof UnreachableError) return retryUnreachable;
  if (error instanceof ConnectionError) return true;
  if (error instanceof HttpStatusError) {
    return error.status === 408 || error.status === 429 || error.status >= 500;
  }
  return false;
}

function pauseBefore(failures: number, pauseMs: number, error: unknown): number {
  const longest = 30_000;
  const backoff = Math.min(longest, pauseMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  const asked = error instanceof HttpStatusError ? (error.retryAfter ?? 0) * 1000 : 0;
  return Math.max(backoff, Math.min(longest, asked));
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Queries may carry signatures, which do not belong in a log. */
function withoutQuery(url: string): string {
  return url.split('?', 1)[0] ?? url;
}
