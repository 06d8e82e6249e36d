/** One HTTP exchange with the platform: a text body in, a text body out, bounded in time. */

export interface HttpRequest {
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
  /** For the whole exchange. */
  timeoutMs: number;
  /**
   * Gives up while the answer has not begun. An answer that has begun is read to its end: the
   * platform counts what it sent (a job, say) as delivered.
   */
  signal?: AbortSignal | undefined;
}

export interface HttpReply {
  status: number;
  headers: Headers;
  body: string;
}

/** The exchange failed before there was a whole answer: no connection, cut off, or too slow. */
export class HttpFailure extends Error {
  override name = 'HttpFailure';
}

/**
 * @throws HttpFailure on a network error or timeout; the signal's reason when it aborts.
 */
export async function exchange(url: string, request: HttpRequest): Promise<HttpReply> {
  const { signal, timeoutMs } = request;
  signal?.throwIfAborted();
  // Not AbortSignal.any and AbortSignal.timeout: on Node 20 these pile up on a long-lived signal.
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(new HttpFailure(`no answer within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  const onAbort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const response = await fetch(url, {
      method: request.method,
      headers: request.headers,
      signal: controller.signal,
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    signal?.removeEventListener('abort', onAbort);
    return { status: response.status, headers: response.headers, body: await response.text() };
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw new HttpFailure(reasonOf(error), { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** fetch says only "fetch failed"; what happened is in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  if (!(cause instanceof Error)) return error.message;
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  return cause.message || code || error.message;
}
