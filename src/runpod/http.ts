/**
 * One HTTP exchange with the platform: a text body in, a text body out, bounded in time.
 *
 * By node:http and not by fetch, which costs 3.5 times the CPU time for small bodies (Node 20).
 */
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { createGunzip, createInflate } from 'node:zlib';
import { messageOf } from '../../lib/errors.js';

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
  /** The media type of the body; empty where none is given. */
  contentType: string;
  body: string;
}

/** The exchange failed before there was a whole answer: no connection, cut off, or too slow. */
export class HttpFailure extends Error {
  override name = 'HttpFailure';
}

/**
 * Jobs hold at most 20 MB; this bounds what a confused server can make the worker read. A batch may
 * bring several such jobs.
 */
const MAX_REPLY_BYTES = 512 * 1024 * 1024;

const agents = {
  http: new HttpAgent({ keepAlive: true }),
  https: new HttpsAgent({ keepAlive: true }),
};

/**
 * Redirects are not followed: the platform's URLs are final, and its key belongs to them alone.
 * @throws HttpFailure on a network error or timeout; the signal's reason when it aborts.
 */
export async function exchange(url: string, request: HttpRequest): Promise<HttpReply> {
  const deadline = performance.now() + request.timeoutMs;
  for (;;) {
    request.signal?.throwIfAborted();
    try {
      return await attempt(url, request, Math.max(1, deadline - performance.now()));
    } catch (error) {
      // A kept connection that the server had closed in the meantime (or that a frozen worker slept
      // through) says nothing about the server: the next one that is idle, or a new one, will.
      if (!(error instanceof StaleConnection)) throw error;
    }
  }
}

class StaleConnection extends Error {}

function attempt(url: string, request: HttpRequest, timeoutMs: number): Promise<HttpReply> {
  const { signal, body } = request;
  const secure = url.startsWith('https:');
  return new Promise((resolve, reject) => {
    const outgoing = (secure ? requestHttps : requestHttp)(url, {
      method: request.method,
      agent: secure ? agents.https : agents.http,
      headers: { ...request.headers, 'Accept-Encoding': 'gzip, deflate' },
    });
    let reply: IncomingMessage | undefined;
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      act();
    };
    const fail = (error: unknown): void => {
      settle(() => reject(error));
      outgoing.destroy();
    };
    const onAbort = (): void => fail(signal?.reason);
    const timer = setTimeout(
      () => fail(new HttpFailure(`no answer within ${request.timeoutMs / 1000} s`)),
      timeoutMs,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const stale = reply === undefined && outgoing.reusedSocket && isCut(error);
      fail(stale ? new StaleConnection() : new HttpFailure(reasonOf(error), { cause: error }));
    });
    outgoing.on('response', (incoming) => {
      reply = incoming;
      signal?.removeEventListener('abort', onAbort);
      read(incoming).then(
        (text) =>
          settle(() =>
            resolve({
              status: incoming.statusCode ?? 0,
              contentType: incoming.headers['content-type'] ?? '',
              body: text,
            }),
          ),
        (error: unknown) => fail(new HttpFailure(messageOf(error), { cause: error })),
      );
    });
    // With its length, so that the body is not sent in chunks, which not every server takes.
    if (body === undefined) outgoing.end();
    else outgoing.setHeader('Content-Length', Buffer.byteLength(body)).end(body);
  });
}

/** The whole body as text; rejects where it is cut off. */
function read(incoming: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const decoder = decoderOf(incoming.headers['content-encoding']);
    const source = decoder ? incoming.pipe(decoder) : incoming;
    const chunks: Buffer[] = [];
    let bytes = 0;
    source.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > MAX_REPLY_BYTES) incoming.destroy(new Error('the answer is too large'));
    });
    source.on('end', () => resolve(Buffer.concat(chunks).toString()));
    incoming.on('error', reject);
    decoder?.on('error', reject);
    // A body that ends early: only "close" tells, and after "end" it changes nothing.
    incoming.on('close', () => {
      if (!incoming.complete) reject(new Error('the answer was cut off'));
    });
  });
}

function decoderOf(encoding: string | undefined) {
  switch (encoding) {
    case 'gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    default:
      return undefined;
  }
}

function isCut({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE';
}

/** Where several addresses were tried, the message is empty and the code says it all. */
function reasonOf(error: NodeJS.ErrnoException): string {
  return error.message || error.code || 'network error';
}
