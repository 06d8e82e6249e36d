/**
 * Fetches a URL that came in a job, which is to say from a stranger: public addresses only, checked
 * again at every redirect and pinned for the connection, with limits on size and time.
 */
import { randomUUID } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DownloadError, messageOf, VoxpodError } from '../../lib/errors.js';
import { resolveHost, type ResolvedAddress } from './address_guard.js';

export interface DownloadLimits {
  maxBytes: number;
  /** Above it the body goes to a temporary file. */
  maxMemoryBytes: number;
  totalMs: number;
  /** The longest silence, before the answer and inside it. */
  stallMs: number;
}

export const DOWNLOAD_LIMITS: DownloadLimits = {
  maxBytes: 500 * 1000 * 1000,
  maxMemoryBytes: 64 * 1024 * 1024,
  totalMs: 600_000,
  stallMs: 30_000,
};

export interface Download {
  /** The bytes, or the path of a temporary file that holds them. */
  source: Uint8Array | string;
  bytes: number;
  /** Removes the temporary file, if there is one. */
  dispose(): Promise<void>;
}

const MAX_REDIRECTS = 5;

/**
 * @throws DownloadError URL_FORBIDDEN, DOWNLOAD_FAILED, DOWNLOAD_TOO_LARGE, DOWNLOAD_TIMEOUT; the
 * signal's reason when it aborts.
 */
export async function download(
  url: string,
  limits: DownloadLimits,
  options: { allowPrivate: boolean; signal: AbortSignal },
): Promise<Download> {
  const { signal, allowPrivate } = options;
  signal.throwIfAborted();
  const controller = new AbortController();
  const stop = (reason: unknown): void => controller.abort(reason);
  const onAbort = (): void => stop(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const total = setTimeout(
    () => stop(timeout(url, `took longer than ${limits.totalMs / 1000} s`)),
    limits.totalMs,
  );
  const stall = setTimeout(
    () => stop(timeout(url, `sent nothing for ${limits.stallMs / 1000} s`)),
    limits.stallMs,
  );
  try {
    const response = await untilAborted(follow(url, allowPrivate, controller.signal), controller);
    const alive = (): void => void stall.refresh();
    alive();
    return await receive(url, response, limits, controller.signal, alive);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    if (error instanceof VoxpodError) throw error;
    throw new DownloadError(
      'DOWNLOAD_FAILED',
      `${shown(url)} could not be read: ${messageOf(error)}`,
      { cause: error },
    );
  } finally {
    clearTimeout(total);
    clearTimeout(stall);
    signal.removeEventListener('abort', onAbort);
    // Whatever is still open is not needed any more.
    controller.abort();
  }
}

/** The first answer that is no redirect. */
async function follow(
  start: string,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  let url = checkUrl(start);
  for (let redirects = 0; ; redirects += 1) {
    const addresses = await resolveHost(url.hostname, allowPrivate);
    const response = await get(url, addresses, signal);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined) {
      if (status === 200) return response;
      response.destroy();
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${shown(start)} answered with HTTP ${status}. Check the link and whether it has expired`,
      );
    }
    response.destroy();
    if (redirects >= MAX_REDIRECTS) {
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${shown(start)} was redirected more than ${MAX_REDIRECTS} times`,
      );
    }
    url = checkUrl(location, url);
  }
}

function checkUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) {
    throw new DownloadError(
      'URL_FORBIDDEN',
      `${JSON.stringify(text.slice(0, 100))} is not a URL. Give a whole http or https URL`,
    );
  }
  const url = new URL(text, base);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new DownloadError(
      'URL_FORBIDDEN',
      `URLs of the kind ${url.protocol}// are not fetched. Give an http or https URL`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new DownloadError(
      'URL_FORBIDDEN',
      'URLs with a user name or password are not fetched. Give a presigned URL',
    );
  }
  return url;
}

/** One request, to the addresses that were checked and no others. */
function get(
  url: URL,
  addresses: ResolvedAddress[],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const pinned: LookupFunction = (_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all) callback(null, addresses);
    else callback(null, first?.address ?? '', first?.family);
  };
  // An agent of its own: a pooled connection would have been checked for somebody else.
  const secure = url.protocol === 'https:';
  const agent = secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  return new Promise((resolve, reject) => {
    const request = (secure ? requestHttps : requestHttp)(url, {
      agent,
      lookup: pinned,
      signal,
      headers: { 'User-Agent': 'voxpod', Accept: '*/*', 'Accept-Encoding': 'identity' },
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end();
  });
}

async function receive(
  url: string,
  response: IncomingMessage,
  limits: DownloadLimits,
  signal: AbortSignal,
  alive: () => void,
): Promise<Download> {
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new DownloadError(
      'DOWNLOAD_FAILED',
      `${shown(url)} was sent with the content encoding ${encoding}, which was not asked for`,
    );
  }
  const declared = Number(response.headers['content-length'] ?? NaN);
  if (declared > limits.maxBytes) throw tooLarge(url, limits.maxBytes);
  const sink = new Sink(limits.maxMemoryBytes);
  try {
    for await (const chunk of response) {
      if (!(chunk instanceof Uint8Array)) continue;
      alive();
      if (sink.bytes + chunk.length > limits.maxBytes) throw tooLarge(url, limits.maxBytes);
      await sink.write(chunk);
    }
    signal.throwIfAborted();
    return await sink.end();
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

/** Collects in memory, and in a temporary file when it grows beyond that. */
class Sink {
  readonly #maxMemoryBytes: number;
  #chunks: Uint8Array[] = [];
  #file: FileHandle | undefined;
  #path = '';
  bytes = 0;

  constructor(maxMemoryBytes: number) {
    this.#maxMemoryBytes = maxMemoryBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.bytes += chunk.length;
    if (this.#file === undefined && this.bytes > this.#maxMemoryBytes) await this.#spill();
    if (this.#file === undefined) this.#chunks.push(chunk);
    else await this.#file.writeFile(chunk);
  }

  async end(): Promise<Download> {
    if (this.#file === undefined) {
      const source = Buffer.concat(this.#chunks);
      return { source, bytes: this.bytes, dispose: () => Promise.resolve() };
    }
    await this.#file.close();
    const path = this.#path;
    return { source: path, bytes: this.bytes, dispose: () => rm(path, { force: true }) };
  }

  async discard(): Promise<void> {
    this.#chunks = [];
    await this.#file?.close().catch(() => undefined);
    if (this.#path !== '') await rm(this.#path, { force: true });
  }

  async #spill(): Promise<void> {
    this.#path = join(tmpdir(), `voxpod-${randomUUID()}.audio`);
    // "wx": the name is random, and whoever guessed it first must not choose where we write.
    this.#file = await open(this.#path, 'wx', 0o600);
    for (const chunk of this.#chunks) await this.#file.writeFile(chunk);
    this.#chunks = [];
  }
}

/** DNS lookups cannot be aborted, so the wait for them is. */
function untilAborted<T>(work: Promise<T>, controller: AbortController): Promise<T> {
  const { signal } = controller;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function timeout(url: string, what: string): DownloadError {
  return new DownloadError('DOWNLOAD_TIMEOUT', `${shown(url)} ${what}. Use a faster server`);
}

function tooLarge(url: string, limit: number): DownloadError {
  return new DownloadError(
    'DOWNLOAD_TOO_LARGE',
    `${shown(url)} is larger than the limit of ${limit} bytes. Send compressed or shorter audio`,
  );
}

/** Without the query, which in a presigned URL is a secret. */
function shown(url: string): string {
  if (!URL.canParse(url)) return 'The URL';
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`.slice(0, 200);
}
