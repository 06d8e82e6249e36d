/** Downloads one file: resumed where it stopped, checked while it comes, never trusted before. */
import { createHash, type Hash } from 'node:crypto';
import { rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DownloadError } from '../../lib/errors.js';
import { explainDiskError } from './disk.js';
import { openForUpdate } from './paths.js';
import { ConnectionError, explain, get, withRetries, type RetryOptions } from './http.js';

export interface Digest {
  /** "git-sha1" is git's name of a blob: SHA-1 over "blob <size>\0" and the bytes. */
  algorithm: 'sha256' | 'git-sha1';
  hex: string;
}

export interface DownloadOptions extends RetryOptions {
  url: string;
  /** Written in place; what it already holds is taken for the beginning of the file. */
  destination: string;
  size: number;
  digest: Digest;
  headers?: Record<string, string>;
  /** Gets the bytes that are on disk, each time there are more (or fewer, after a restart). */
  onProgress?: (bytes: number) => void;
  /** Milliseconds without a byte after which the connection is given up. Default 30 s. */
  stallMs?: number;
}

/**
 * Resolves when `destination` holds `size` bytes with that digest, synced to disk. What was
 * received stays for the next call when it fails or is aborted, except where the digest is wrong.
 * @throws DownloadError DOWNLOAD_FAILED, DOWNLOAD_TIMEOUT, CHECKSUM_MISMATCH, DISK_FULL
 */
export async function downloadFile(options: DownloadOptions): Promise<void> {
  const resumed = await attemptDownload(options);
  if (resumed === 'ok') return;
  // The bytes that were already here, or a faulty proxy, may be to blame: once more from nothing.
  options.log?.(`${options.url} did not have its checksum; downloading it again`);
  await rm(options.destination, { force: true });
  if ((await attemptDownload(options)) === 'ok') return;
  await rm(options.destination, { force: true });
  throw new DownloadError(
    'CHECKSUM_MISMATCH',
    `${options.url} does not have the ${options.digest.algorithm} ${options.digest.hex}, twice in a row. A proxy may alter downloads, or the file was changed on the server.`,
  );
}

async function attemptDownload(options: DownloadOptions): Promise<'ok' | 'mismatch'> {
  const { destination, size, digest } = options;
  let file: FileHandle | undefined;
  try {
    file = await openForUpdate(destination);
    const target = new Target(file, digest, size, options.onProgress);
    await target.adoptExisting(options.signal);
    await withRetries((progressed) => receive(options, target, progressed), options);
    if (target.hex() !== digest.hex.toLowerCase()) return 'mismatch';
    await file.sync();
    return 'ok';
  } catch (error) {
    if (error instanceof TooLongError) return 'mismatch';
    throw explainDiskError(error, dirname(destination));
  } finally {
    await file?.close();
  }
}

/** More came than the file has: it is another one. */
class TooLongError extends Error {}

/** The file being written and the running digest of its first `length` bytes. */
class Target {
  length = 0;
  #hash: Hash;

  constructor(
    private readonly file: FileHandle,
    private readonly digest: Digest,
    readonly size: number,
    private readonly onProgress: ((bytes: number) => void) | undefined,
  ) {
    this.#hash = newHash(digest.algorithm, size);
  }

  async adoptExisting(signal?: AbortSignal): Promise<void> {
    const { size } = await this.file.stat();
    if (size > this.size) return this.restart();
    const buffer = Buffer.allocUnsafe(1 << 20);
    while (this.length < size) {
      signal?.throwIfAborted();
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, this.length);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.length += bytesRead;
    }
    if (this.length > 0) this.onProgress?.(this.length);
  }

  async restart(): Promise<void> {
    await this.file.truncate(0);
    this.#hash = newHash(this.digest.algorithm, this.size);
    this.length = 0;
    this.onProgress?.(0);
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let written = 0; written < chunk.length;) {
      // At its position, not at the end: two writers of the same file then do no harm.
      const { bytesWritten } = await this.file.write(
        chunk,
        written,
        chunk.length - written,
        this.length + written,
      );
      written += bytesWritten;
    }
    this.#hash.update(chunk);
    this.length += chunk.length;
    this.onProgress?.(this.length);
  }

  hex(): string {
    return this.#hash.digest('hex');
  }
}

/** One request for what is missing. */
async function receive(
  options: DownloadOptions,
  target: Target,
  progressed: () => void,
): Promise<void> {
  if (target.length === target.size) return;
  const { url, stallMs = 30_000 } = options;
  const stall = new AbortController();
  const watch = setTimeout(() => stall.abort(), stallMs);
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  try {
    const range = target.length > 0 ? { range: `bytes=${target.length}-` } : {};
    const response = await get(url, {
      headers: { ...options.headers, ...range },
      signal,
      timeoutMs: stallMs,
    });
    if (target.length > 0 && !continuesAt(response, target.length)) await target.restart();
    for await (const chunk of response.body ?? []) {
      const bytes = chunk as Uint8Array;
      watch.refresh();
      if (target.length + bytes.length > target.size) {
        throw new TooLongError();
      }
      await target.append(bytes);
      progressed();
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (stall.signal.aborted) {
      throw new ConnectionError('DOWNLOAD_TIMEOUT', `${url} sent nothing for ${stallMs / 1000} s`);
    }
    if (error instanceof TooLongError || isSystemError(error)) throw error;
    throw explain(error, url);
  } finally {
    clearTimeout(watch);
  }
  if (target.length < target.size) {
    throw new ConnectionError(
      'DOWNLOAD_FAILED',
      `${url} ended after ${target.length} of ${target.size} bytes`,
    );
  }
}

/** Whether the response goes on at that byte; servers may ignore a range and send everything. */
function continuesAt(response: Response, offset: number): boolean {
  if (response.status !== 206) return false;
  return response.headers.get('content-range')?.startsWith(`bytes ${offset}-`) ?? false;
}

/** Errors of the file system, which another attempt would only repeat. */
function isSystemError(error: unknown): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === 'write' || syscall === 'ftruncate' || syscall === 'truncate';
}

/** A running digest of a file of `size` bytes. */
export function newHash(algorithm: Digest['algorithm'], size: number): Hash {
  if (algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${size}\0`);
}
