/** A server that speaks the part of the Hugging Face hub's HTTP API that the store uses. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LocalRepository {
  commit: string;
  /** Name to bytes. Those of 1 kB and more count as LFS files. */
  files: Map<string, Buffer>;
}

/** Answers the request itself and returns true, or leaves it to the hub. */
export type Interception = (request: IncomingMessage, response: ServerResponse) => boolean;

export class LocalHub {
  readonly repositories = new Map<string, LocalRepository>();
  /** "GET /path" of every request, with the range asked for. */
  readonly requests: string[] = [];
  intercept: Interception = () => false;
  /** Entries of a listing that are given at once, as the real hub gives 1000. */
  pageSize = 1000;
  /** Bytes a second of every file transfer; 0 for no limit. */
  bytesPerSecond = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const range = request.headers.range === undefined ? '' : ` ${request.headers.range}`;
      this.requests.push(`${request.method ?? ''} ${request.url ?? ''}${range}`);
      if (!this.intercept(request, response)) this.#answer(request, response);
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Requests for the bytes of files. */
  transfers(): string[] {
    return this.requests.filter((line) => line.includes('/resolve/'));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const url = decodeURIComponent(path);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(url);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url);
    const repository = this.repositories.get((api ?? file)?.[1] ?? '');
    if (!repository) return void response.writeHead(404).end('Repository not found');
    if (api?.[2] === 'revision') {
      const siblings = [...repository.files.keys()].map((rfilename) => ({ rfilename }));
      return sendJson(response, { id: api[1], sha: repository.commit, siblings });
    }
    if (api) return this.#tree(response, repository, path, new URLSearchParams(query));
    const content = repository.files.get(file?.[3] ?? '');
    if (!content || file?.[2] !== repository.commit) return void response.writeHead(404).end();
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = content.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': rest.length,
      ...(from > 0
        ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }
        : {}),
    });
    void this.#send(response, rest);
  }

  #tree(
    response: ServerResponse,
    { files }: LocalRepository,
    path: string,
    query: URLSearchParams,
  ): void {
    const recursive = query.get('recursive') === 'true';
    const folders = new Set(
      [...files.keys()].flatMap((name) => {
        const parts = name.split('/').slice(0, -1);
        return parts.map((_, depth) => parts.slice(0, depth + 1).join('/'));
      }),
    );
    const entries = [
      ...[...folders].map((folder) => ({ type: 'directory', path: folder, size: 0, oid: FOLDER })),
      ...[...files].map(treeEntry),
    ].filter((entry) => recursive || !entry.path.includes('/'));
    const from = Number(query.get('cursor') ?? 0);
    const to = from + this.pageSize;
    if (to < entries.length) {
      query.set('cursor', String(to));
      response.setHeader('link', `<https://huggingface.co${path}?${query.toString()}>; rel="next"`);
    }
    sendJson(response, entries.slice(from, to));
  }

  async #send(response: ServerResponse, bytes: Buffer): Promise<void> {
    if (this.bytesPerSecond === 0) return void response.end(bytes);
    const step = Math.ceil(this.bytesPerSecond / 50);
    for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
      response.write(bytes.subarray(at, at + step));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    response.end();
  }
}

const FOLDER = 'f'.repeat(40);

function treeEntry([path, bytes]: [string, Buffer]) {
  const size = bytes.length;
  if (size < 1000) return { type: 'file', path, size, oid: gitSha1(bytes) };
  const oid = createHash('sha256').update(bytes).digest('hex');
  return { type: 'file', path, size, oid: '0'.repeat(40), lfs: { oid, size, pointerSize: 130 } };
}

export function gitSha1(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
