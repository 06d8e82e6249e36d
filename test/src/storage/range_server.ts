/**
 * The part of the S3 API that the model store uses, in memory and as fast as Node serves: nobody's
 * keys are looked at. Faults are a hook's, asked for each request.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { BucketSettings } from '../../../src/storage/bucket_environment.js';

export interface StoredObject {
  size: number;
  etag: string;
  /** Bytes from there on, some or all of them. */
  read: (offset: number, most: number) => Buffer;
  modified: Date;
}

export interface RangeRequestFacts {
  method: string;
  key: string;
  query: URLSearchParams;
  /** Undefined where the whole is asked for. */
  range: { from: number; length: number } | undefined;
  request: IncomingMessage;
  response: ServerResponse;
}

/** What happens to an answer: an error, silence, so many bytes and then silence or the end. */
export type RangeFault =
  | { status: number; code: string; headers?: Record<string, string> }
  | { after: number; then: 'stall' | 'cut' | 'close' }
  | { flip: number };

interface Upload {
  key: string;
  initiated: Date;
  parts: Map<number, { bytes: Buffer; etag: string; size: number }>;
}

export interface RangeServerOptions {
  /** Keep no bytes of uploads, only their sizes: for benchmarks. */
  discard?: boolean;
  tls?: { key: string; cert: string };
}

export class RangeServer {
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  /** "GET key 0-7" of every request. */
  readonly requests: string[] = [];
  /** Bytes of bodies sent, and received. */
  sent = 0;
  received = 0;
  url = '';
  fault: (facts: RangeRequestFacts) => RangeFault | undefined = () => undefined;
  /** Milliseconds before each answer. */
  delayMs = 0;
  /** Of all answers together, as a network has it; 0 for no limit. */
  bytesPerSecond = 0;
  /** When the network is free again, by performance.now(). */
  #free = 0;
  readonly #server;
  readonly #discard: boolean;

  constructor(options: RangeServerOptions = {}) {
    this.#discard = options.discard === true;
    const handler = (request: IncomingMessage, response: ServerResponse): void => {
      this.#answer(request, response).catch(() => response.destroy());
    };
    this.#server = options.tls ? createTlsServer(options.tls, handler) : createServer(handler);
    this.#server.keepAliveTimeout = 60_000;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const scheme = 'setSecureContext' in this.#server ? 'https' : 'http';
    this.url = `${scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this.url;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  settings(bucket = 'models', prefix = ''): BucketSettings {
    return {
      ...{ bucket, prefix, endpoint: this.url, region: 'us-east-1', pathStyle: true },
      credentials: { accessKeyId: 'AKIANOBODYATALL', secretAccessKey: 'a-secret-of-nobody' },
      source: 'environment',
    };
  }

  /** Stores bytes under "bucket/key". */
  put(key: string, bytes: Buffer, etag = `"${createHash('md5').update(bytes).digest('hex')}"`) {
    const read = (offset: number, most: number): Buffer => bytes.subarray(offset, offset + most);
    this.objects.set(key, { size: bytes.length, etag, read, modified: new Date() });
  }

  text(key: string): string | undefined {
    const object = this.objects.get(key);
    return object?.read(0, object.size).toString();
  }

  /** Ranges of blobs that were asked for. */
  ranges(): string[] {
    return this.requests.filter((line) => /^GET .*\/blobs\/.* \d+-\d+$/.test(line));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const key = decodeURIComponent(url.pathname.slice(1));
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const range = match
      ? { from: Number(match[1]), length: Number(match[2]) - Number(match[1]) + 1 }
      : undefined;
    const method = request.method ?? '';
    const { searchParams: query } = url;
    const verb = query.has('uploads') ? `${method}?uploads` : method;
    const part = query.has('uploadId') ? ` part ${query.get('partNumber') ?? '-'}` : '';
    const span = range ? ` ${range.from}-${range.from + range.length - 1}` : '';
    this.requests.push(`${verb} ${key}${part}${span}`);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const fault = this.fault({ method, key, query, range, request, response });
    if (fault && 'status' in fault) {
      request.resume();
      sendError(response, fault.status, fault.code, method === 'HEAD', fault.headers);
      return;
    }
    if (method === 'GET' && (query.has('uploads') || query.has('uploadId'))) {
      this.#listParts(response, key, query);
      return;
    }
    if (method === 'GET' && query.has('list-type')) {
      this.#list(response, key, query);
      return;
    }
    if (method === 'GET' || method === 'HEAD') {
      this.#send(request, response, key, range, method === 'HEAD', fault);
      return;
    }
    const body = await buffer(request);
    this.received += body.length;
    if (method === 'PUT') {
      this.#store(request, response, key, query, body);
      return;
    }
    if (method === 'POST') {
      this.#multipart(response, key, query, body.toString());
      return;
    }
    if (query.has('uploadId')) this.uploads.delete(query.get('uploadId') ?? '');
    else this.objects.delete(key);
    response.writeHead(204).end();
  }

  #send(
    request: IncomingMessage,
    response: ServerResponse,
    key: string,
    range: RangeRequestFacts['range'],
    isHead: boolean,
    fault: RangeFault | undefined,
  ): void {
    const object = this.objects.get(key);
    if (object === undefined) return sendError(response, 404, 'NoSuchKey', isHead);
    const expected = request.headers['if-match'];
    if (expected !== undefined && expected !== object.etag) {
      return sendError(response, 412, 'PreconditionFailed', isHead);
    }
    const from = range?.from ?? 0;
    const length = Math.min(range?.length ?? Infinity, object.size - from);
    if (range && length <= 0) return sendError(response, 416, 'InvalidRange', isHead);
    response.writeHead(range ? 206 : 200, {
      ...{ 'content-length': length, etag: object.etag, 'accept-ranges': 'bytes' },
      'last-modified': object.modified.toUTCString(),
      ...(range ? { 'content-range': `bytes ${from}-${from + length - 1}/${object.size}` } : {}),
    });
    if (isHead) return void response.end();
    const limit = fault && 'after' in fault ? Math.min(fault.after, length) : length;
    const most = this.bytesPerSecond > 0 ? 1 << 18 : 1 << 20;
    let done = 0;
    const pump = (): void => {
      while (done < limit) {
        if (response.destroyed) return;
        const wait = this.#free - performance.now();
        // Timers are coarse, so a little is sent ahead.
        if (this.bytesPerSecond > 0 && wait > 5) return void setTimeout(pump, wait);
        let bytes = object.read(from + done, Math.min(limit - done, most));
        if (fault && 'flip' in fault && fault.flip >= done && fault.flip < done + bytes.length) {
          bytes = Buffer.from(bytes);
          bytes.writeUInt8(bytes.readUInt8(fault.flip - done) ^ 1, fault.flip - done);
        }
        done += bytes.length;
        this.sent += bytes.length;
        if (this.bytesPerSecond > 0) {
          const now = performance.now();
          this.#free = Math.max(this.#free, now) + (bytes.length / this.bytesPerSecond) * 1000;
        }
        if (!response.write(bytes)) return void response.once('drain', pump);
      }
      if (limit === length) return void response.end();
      if (fault && 'then' in fault && fault.then === 'cut') response.destroy();
      if (fault && 'then' in fault && fault.then === 'close') response.socket?.end();
    };
    pump();
  }

  #store(
    request: IncomingMessage,
    response: ServerResponse,
    key: string,
    query: URLSearchParams,
    body: Buffer,
  ): void {
    const etag = `"${createHash('md5')
      .update(this.#discard ? '' : body)
      .digest('hex')}"`;
    const kept = this.#discard && body.length > 1 << 20 ? Buffer.alloc(0) : body;
    const id = query.get('uploadId');
    if (id !== null) {
      const upload = this.uploads.get(id);
      if (upload === undefined) return sendError(response, 404, 'NoSuchUpload', false);
      upload.parts.set(Number(query.get('partNumber')), { bytes: kept, etag, size: body.length });
      return void response.writeHead(200, { etag }).end();
    }
    const present = this.objects.get(key);
    const none = request.headers['if-none-match'] === '*' && present !== undefined;
    const match = request.headers['if-match'];
    if (none || (match !== undefined && match !== present?.etag)) {
      return sendError(response, 412, 'PreconditionFailed', false);
    }
    this.put(key, kept, etag);
    response.writeHead(200, { etag }).end();
  }

  #multipart(response: ServerResponse, key: string, query: URLSearchParams, body: string): void {
    if (query.has('uploads')) {
      const id = randomUUID();
      this.uploads.set(id, { key, initiated: new Date(), parts: new Map() });
      return sendXml(
        response,
        `<InitiateMultipartUploadResult><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const id = query.get('uploadId') ?? '';
    const upload = this.uploads.get(id);
    if (upload === undefined) return sendError(response, 404, 'NoSuchUpload', false);
    const numbers = [...body.matchAll(/<PartNumber>(\d+)</g)].map((found) => Number(found[1]));
    const parts = numbers.map((number) => upload.parts.get(number));
    const bytes = Buffer.concat(parts.map((part) => part?.bytes ?? Buffer.alloc(0)));
    this.put(key, bytes, `"${randomUUID()}-${parts.length}"`);
    const object = this.objects.get(key);
    if (object) object.size = parts.reduce((sum, part) => sum + (part?.size ?? 0), 0);
    this.uploads.delete(id);
    sendXml(
      response,
      `<CompleteMultipartUploadResult><Key>${key}</Key><ETag>${object?.etag ?? ''}</ETag></CompleteMultipartUploadResult>`,
    );
  }

  #listParts(response: ServerResponse, key: string, query: URLSearchParams): void {
    const id = query.get('uploadId');
    if (id !== null) {
      const upload = this.uploads.get(id);
      if (upload === undefined) return sendError(response, 404, 'NoSuchUpload', false);
      const parts = [...upload.parts].map(
        ([number, { etag, size }]) =>
          `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag><Size>${size}</Size></Part>`,
      );
      return sendXml(response, `<ListPartsResult>${parts.join('')}</ListPartsResult>`);
    }
    const bucket = key.split('/', 1)[0] ?? '';
    const uploads = [...this.uploads]
      .filter(([, upload]) => upload.key.startsWith(`${bucket}/${query.get('prefix') ?? ''}`))
      .map(
        ([uploadId, upload]) =>
          `<Upload><Key>${upload.key.slice(bucket.length + 1)}</Key><UploadId>${uploadId}</UploadId><Initiated>${upload.initiated.toISOString()}</Initiated></Upload>`,
      );
    sendXml(
      response,
      `<ListMultipartUploadsResult>${uploads.join('')}</ListMultipartUploadsResult>`,
    );
  }

  #list(response: ServerResponse, key: string, query: URLSearchParams): void {
    const bucket = key.replace(/\/$/, '');
    const keys = [...this.objects.keys()]
      .filter((name) => name.startsWith(`${bucket}/${query.get('prefix') ?? ''}`))
      .map((name) => `<Contents><Key>${name.slice(bucket.length + 1)}</Key></Contents>`);
    sendXml(response, `<ListBucketResult>${keys.sort().join('')}</ListBucketResult>`);
  }
}

function sendXml(response: ServerResponse, xml: string): void {
  response
    .writeHead(200, { 'content-type': 'application/xml' })
    .end(`<?xml version="1.0" encoding="UTF-8"?>${xml}`);
}

function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  isHead: boolean,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(
    isHead
      ? undefined
      : `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}
