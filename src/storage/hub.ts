/** The Hugging Face hub over plain HTTP: what a repository holds, and its files. */
import { join } from 'node:path';
import { z } from 'zod';
import { DownloadError, ModelError } from '../../lib/errors.js';
import { get, HttpStatusError, withRetries, type RetryOptions } from './http.js';
import { downloadFile, type Digest } from './http_download.js';
import { isRelativePath } from './paths.js';
import type { FetchContext, Source, SourceFile, SourceListing } from './source.js';

export interface HubOptions {
  /** Default https://huggingface.co. */
  endpoint?: string;
  token?: string | undefined;
  /** Milliseconds for an answer to begin, and without a byte until a transfer counts as stalled. */
  timeoutMs?: number;
  stallMs?: number;
  retry?: Pick<RetryOptions, 'attempts' | 'pauseMs'>;
}

/** Files fetched at the same time. */
const PARALLEL_FILES = 4;

const revisionSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const treeSchema = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.number().int().nonnegative().default(0),
    /** Git's name of the blob; of the pointer where the file is in LFS. */
    oid: z.string(),
    lfs: z.object({ oid: z.string(), size: z.number().int().nonnegative() }).optional(),
  }),
);

export class HubSource implements Source {
  readonly kind = 'hub';
  readonly description: string;
  readonly #endpoint: string;
  readonly #headers: Record<string, string>;
  readonly #options: HubOptions;
  readonly #cachedAs: string;

  /** `select` picks the files to fetch; they are listed as of `cachedAs`, the repository by default. */
  constructor(
    private readonly repository: string,
    private readonly revision: string,
    private readonly select: (files: SourceFile[]) => string[],
    options: HubOptions & { cachedAs?: string } = {},
  ) {
    this.#options = options;
    this.#cachedAs = options.cachedAs ?? repository;
    this.#endpoint = (options.endpoint ?? 'https://huggingface.co').replace(/\/+$/, '');
    this.#headers = options.token ? { authorization: `Bearer ${options.token}` } : {};
    this.description = `the hub (${this.#endpoint}/${repository})`;
  }

  async list(context: FetchContext): Promise<SourceListing> {
    const base = `${this.#endpoint}/api/models/${this.repository}`;
    const revision = encodeURIComponent(this.revision);
    const url = `${base}/revision/${revision}`;
    const { sha } = (await this.#json(url, revisionSchema, context)).value;
    const tree = await this.#tree(`${base}/tree/${sha}?recursive=true`, context);
    const files = new Map<string, SourceFile>();
    for (const { type, path, size, oid, lfs } of tree) {
      if (type !== 'file' || !isRelativePath(path)) continue;
      const digest: Digest = lfs
        ? { algorithm: 'sha256', hex: lfs.oid.replace(/^sha256:/, '') }
        : { algorithm: 'git-sha1', hex: oid };
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(digest.hex)) continue;
      files.set(path, { path, size: lfs?.size ?? size, digest });
    }
    const chosen = this.select([...files.values()]).flatMap((path) => files.get(path) ?? []);
    return { repository: this.#cachedAs, commit: sha, files: chosen, scratchBytes: 0 };
  }

  async fetch(listing: SourceListing, folder: string, context: FetchContext): Promise<void> {
    const total = listing.files.reduce((sum, { size }) => sum + size, 0);
    const received = new Map<string, number>();
    // One failure ends the other transfers, too; what they received stays for the next time.
    const failed = new AbortController();
    const signal = AbortSignal.any([context.signal, failed.signal]);
    const queue = [...listing.files];
    const transfer = async (): Promise<void> => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const { path, size, digest } = file;
        await downloadFile({
          url: `${this.#endpoint}/${this.repository}/resolve/${listing.commit}/${encodePath(path)}`,
          destination: join(folder, digest.hex),
          size,
          digest,
          headers: this.#headers,
          signal,
          log: context.log,
          stallMs: this.#options.stallMs ?? 30_000,
          ...this.#options.retry,
          onProgress: (bytes) => {
            received.set(path, bytes);
            context.onProgress(
              [...received.values()].reduce((a, b) => a + b, 0),
              total,
            );
          },
        });
      }
    };
    const transfers = Array.from({ length: PARALLEL_FILES }, () =>
      transfer().catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    const outcomes = await Promise.allSettled(transfers);
    context.signal.throwIfAborted();
    if (failed.signal.aborted) throw this.#explain(failed.signal.reason);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** All pages; the hub gives 1000 entries at a time. */
  async #tree(url: string, context: FetchContext): Promise<z.infer<typeof treeSchema>> {
    const entries: z.infer<typeof treeSchema> = [];
    for (let cursor = ''; ;) {
      const page = await this.#json(url + cursor, treeSchema, context);
      entries.push(...page.value);
      // Of the link to the next page only the place in the list is taken: it may name another host.
      const next = /[?&]cursor=([\w%.~+/=-]+)[^>]*>;\s*rel="next"/.exec(page.link)?.[1];
      if (next === undefined || `&cursor=${next}` === cursor) return entries;
      cursor = `&cursor=${next}`;
    }
  }

  async #json<T>(
    url: string,
    schema: z.ZodType<T>,
    context: FetchContext,
  ): Promise<{ value: T; link: string }> {
    let answer: { text: string; link: string };
    try {
      answer = await withRetries(
        async () => {
          const response = await get(url, {
            headers: this.#headers,
            signal: context.signal,
            timeoutMs: this.#options.timeoutMs ?? 10_000,
          });
          const link = response.headers.get('link') ?? '';
          return { text: await response.text(), link };
        },
        // Where nobody answers, the next source is asked at once.
        {
          attempts: 4,
          retryUnreachable: false,
          signal: context.signal,
          log: context.log,
          ...this.#options.retry,
        },
      );
    } catch (error) {
      context.signal.throwIfAborted();
      throw this.#explain(error);
    }
    try {
      return { value: schema.parse(JSON.parse(answer.text)), link: answer.link };
    } catch (cause) {
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${url} did not answer as the Hugging Face hub does. Is HF_ENDPOINT right?`,
        { cause },
      );
    }
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof HttpStatusError)) return error;
    const where = `${this.repository} at ${this.#endpoint}`;
    const signedIn = this.#headers['authorization'] !== undefined;
    switch (error.status) {
      case 401:
        return new DownloadError(
          'DOWNLOAD_FAILED',
          signedIn
            ? `HTTP 401 for ${where}: the token in HF_TOKEN is not accepted, or there is no such repository`
            : `HTTP 401 for ${where}: there is no such repository, or it is private: then set HF_TOKEN`,
          { cause: error },
        );
      case 403:
        return new DownloadError(
          'DOWNLOAD_FAILED',
          `HTTP 403 for ${where}: access is restricted. Accept its terms on its page and set HF_TOKEN to a token that may read it`,
          { cause: error },
        );
      case 404:
        return new ModelError(
          'MODEL_NOT_FOUND',
          `HTTP 404 for ${where}: there is no such repository, or no revision ${this.revision} in it`,
          { cause: error },
        );
      case 429:
        return new DownloadError(
          'DOWNLOAD_FAILED',
          `HTTP 429 for ${where}: too many requests from this address. Try again later${signedIn ? '' : ', or set HF_TOKEN, which raises the limit'}`,
          { cause: error },
        );
      default:
        return new DownloadError(
          'DOWNLOAD_FAILED',
          `HTTP ${error.status} for ${where}: ${error.status >= 500 ? 'the hub has trouble; try again later' : error.message}`,
          { cause: error },
        );
    }
  }
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
