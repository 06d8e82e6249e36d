/**
 * One connection that fetches ranges of bytes, one after another, over HTTP/1.1.
 *
 * Node's own client makes a new 64 kB buffer of every read and hands it through a parser and two
 * streams, which costs a third of a download's speed on a machine with few cores (bench/s3.mjs). Here
 * the socket reads into buffers that are written from and used again. Only the one answer that a
 * range has on a good day is understood, 206 with its length; for every other the caller asks again
 * with a whole client.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ConnectionError, explain } from './http.js';

export interface RangeRequest {
  /** As in a URL: "https://host:port". */
  origin: string;
  /** Path and query, encoded. */
  path: string;
  headers: Readonly<Record<string, string>>;
  from: number;
  length: number;
}

export interface RangeSink {
  /** Gets the bytes in their order, as they come. They may not be kept. */
  see(bytes: Uint8Array): void;
  /** Gets them in larger pieces, with where they belong in the object; they may not be kept after. */
  write(bytes: Uint8Array, position: number): Promise<void>;
}

/** The server answered something else than that range. */
export class UnexpectedAnswerError extends Error {
  constructor(readonly status: number) {
    super(`HTTP status ${status}`);
  }
}

/** Larger ones fall out of the processor's second-level cache between socket, checksum and disk. */
const BUFFER_BYTES = 256 * 1024;
/** Pieces on their way to the disk before the socket waits for them. */
const MAX_WRITES = 2;
const MAX_HEAD_BYTES = 16 * 1024;

interface Transfer {
  request: RangeRequest;
  sink: RangeSink;
  /** Whether the head of the answer was read. */
  inBody: boolean;
  writes: number;
  /** Nothing came and nothing was written for so long. */
  stall: NodeJS.Timeout;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export class RangeConnection {
  readonly #stallMs: number;
  #origin = '';
  #socket: Socket | undefined;
  #transfer: Transfer | undefined;
  #paused = false;
  #keep = true;
  /** What is read into: its first `#used` bytes are taken. */
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;
  /** Bytes of the range that is or was last fetched. */
  #received = 0;
  readonly #free: Buffer[] = [];

  /** `stallMs`: the longest silence. Default 15 s. */
  constructor(options: { stallMs?: number } = {}) {
    this.#stallMs = options.stallMs ?? 15_000;
  }

  /**
   * Resolves when the whole range was written.
   * @throws ConnectionError, UnreachableError, UnexpectedAnswerError; what the sink throws; the
   * signal's reason.
   */
  async get(request: RangeRequest, sink: RangeSink, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const reused = this.#socket !== undefined && this.#origin === request.origin;
    try {
      await this.#attempt(request, sink, signal);
    } catch (error) {
      // Servers close connections that are kept, just when they are wanted again.
      const untouched = error instanceof ConnectionError && error.code !== 'DOWNLOAD_TIMEOUT';
      if (!reused || this.#received > 0 || !untouched || signal.aborted) throw error;
      await this.#attempt(request, sink, signal);
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #attempt(request: RangeRequest, sink: RangeSink, signal: AbortSignal): Promise<void> {
    if (this.#origin !== request.origin) this.close();
    this.#origin = request.origin;
    this.#used = 0;
    this.#received = 0;
    const onAbort = (): void => this.#fail(signal.reason);
    try {
      await new Promise<void>((resolve, reject) => {
        const stall = setTimeout(() => this.#onSilence(), this.#stallMs);
        this.#transfer = {
          ...{ request, sink, stall, resolve, reject },
          ...{ inBody: false, writes: 0 },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        this.#socket ??= this.#connect(new URL(request.origin));
        this.#socket.ref();
        this.#socket.write(requestText(request));
      });
    } finally {
      signal.removeEventListener('abort', onAbort);
      // One that is kept for the next range keeps no process alive.
      this.#socket?.unref();
      if (!this.#keep) this.close();
    }
  }

  #connect(url: URL): Socket {
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const options = {
      host,
      port: Number(url.port || (secure ? 443 : 80)),
      noDelay: true,
      onread: {
        buffer: () => this.#buffer.subarray(this.#used),
        callback: (bytes: number) => socket === this.#socket && this.#onRead(bytes),
      },
    };
    const socket: Socket = secure
      ? connectTls({ ...options, ...(isIP(host) === 0 ? { servername: host } : {}) })
      : connectTcp(options);
    const end = (error: unknown): void => {
      if (this.#socket !== socket) return;
      // All of it may be here, and only the disk not ready.
      if (this.#received === this.#transfer?.request.length) this.close();
      else this.#fail(error);
    };
    socket.on('error', (error) => end(explain(error, this.#origin)));
    socket.on('end', () => end(this.#broken()));
    socket.on('close', () => end(this.#broken()));
    this.#paused = false;
    this.#keep = true;
    return socket.resume();
  }

  /** Takes in what was read into the buffer; false stops reading. */
  #onRead(bytes: number): boolean {
    const transfer = this.#transfer;
    if (transfer === undefined) {
      // Nothing was asked for.
      this.close();
      return false;
    }
    transfer.stall.refresh();
    this.#used += bytes;
    if (transfer.inBody) this.#onBody(transfer, bytes);
    else this.#onHead(transfer);
    return !this.#paused;
  }

  #onHead(transfer: Transfer): void {
    const end = this.#buffer.subarray(0, this.#used).indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#used > MAX_HEAD_BYTES) this.#fail(new UnexpectedAnswerError(0));
      return;
    }
    const head = this.#buffer.toString('latin1', 0, end);
    const { from, length } = transfer.request;
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
    const range = /^content-range: *bytes (\d+)-(\d+)\//im.exec(head);
    const isRange =
      status === 206 &&
      Number(range?.[1]) === from &&
      Number(range?.[2]) === from + length - 1 &&
      Number(/^content-length: *(\d+)/im.exec(head)?.[1]) === length &&
      !/^(transfer|content)-encoding: *(?!identity)/im.test(head);
    if (!isRange) return this.#fail(new UnexpectedAnswerError(status));
    this.#keep = !/^HTTP\/1\.0|^connection: *close/im.test(head);
    transfer.inBody = true;
    this.#buffer.copyWithin(0, end + 4, this.#used);
    this.#used -= end + 4;
    if (this.#used > 0) this.#onBody(transfer, this.#used);
  }

  /** The last `bytes` of what is used of the buffer are new. */
  #onBody(transfer: Transfer, bytes: number): void {
    const { request, sink } = transfer;
    this.#received += bytes;
    if (this.#received > request.length) return this.#fail(new UnexpectedAnswerError(206));
    sink.see(this.#buffer.subarray(this.#used - bytes, this.#used));
    if (this.#used < BUFFER_BYTES && this.#received < request.length) return;
    const full = this.#buffer;
    const piece = full.subarray(0, this.#used);
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#used = 0;
    transfer.writes += 1;
    // Over TLS some more may come all the same; there is always a buffer for it.
    this.#paused = transfer.writes >= MAX_WRITES;
    sink
      .write(piece, request.from + this.#received - piece.length)
      .finally(() => this.#free.push(full))
      .then(
        () => this.#onWritten(transfer),
        (error: unknown) => this.#transfer === transfer && this.#fail(error),
      );
  }

  #onWritten(transfer: Transfer): void {
    if (this.#transfer !== transfer) return;
    transfer.writes -= 1;
    transfer.stall.refresh();
    if (this.#paused) {
      this.#paused = false;
      this.#socket?.resume();
    }
    if (this.#received < transfer.request.length || transfer.writes > 0) return;
    clearTimeout(transfer.stall);
    this.#transfer = undefined;
    transfer.resolve();
  }

  #onSilence(): void {
    const transfer = this.#transfer;
    if (transfer === undefined) return;
    // A slow disk is no fault of the server's.
    if (transfer.writes > 0) return void transfer.stall.refresh();
    const seconds = this.#stallMs / 1000;
    const what = `${place(transfer.request)} sent nothing for ${seconds} s`;
    this.#fail(new ConnectionError('DOWNLOAD_TIMEOUT', what));
  }

  #broken(): ConnectionError {
    const transfer = this.#transfer;
    if (transfer === undefined) return new ConnectionError('DOWNLOAD_FAILED', 'closed');
    const { request } = transfer;
    const what = `${place(request)} ended after ${this.#received} of ${request.length} bytes`;
    return new ConnectionError('DOWNLOAD_FAILED', what);
  }

  #fail(error: unknown): void {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    this.close();
    if (transfer === undefined) return;
    clearTimeout(transfer.stall);
    transfer.reject(error);
  }
}

function requestText({ path, headers, from, length }: RangeRequest): string {
  const lines = Object.entries({ ...headers, range: `bytes=${from}-${from + length - 1}` });
  const text = [`GET ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`)];
  // eslint-disable-next-line no-control-regex -- those would end a line
  if (text.some((line) => /[\r\n\u0000]/.test(line))) throw new Error('a line break in a request');
  return `${text.join('\r\n')}\r\n\r\n`;
}

/** Without the query: it may hold a signature. */
function place({ origin, path }: RangeRequest): string {
  return origin + (path.split('?', 1)[0] ?? '');
}
