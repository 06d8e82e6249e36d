/** Downloads files in ranges, many at once, straight into their places on the disk. */
import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { ArtifactPart } from './artifact.js';
import { explainDiskError } from './disk.js';
import { ConnectionError, withRetries, type RetryOptions } from './http.js';
import { PartFile, type PartFileFacts } from './part_file.js';
import { RangeConnection, type RangeSink } from './range_connection.js';
import { Semaphore } from './semaphore.js';

export interface RangedFile extends PartFileFacts {
  /** For messages: what is downloaded. */
  name: string;
  /** Fetches a range, over the connection or by means of its own. */
  read: (
    connection: RangeConnection,
    range: { from: number; length: number },
    sink: RangeSink,
    signal: AbortSignal,
  ) => Promise<void>;
}

export interface RangedOptions extends Pick<RetryOptions, 'attempts' | 'pauseMs' | 'log'> {
  signal: AbortSignal;
  /** Gets the bytes received; fewer than before where a part begins again. */
  onProgress?: (bytes: number) => void;
  /** The longest silence on a connection, in milliseconds. Default 15 s. */
  stallMs?: number;
}

/**
 * Ranges on their way in this process, whoever asked for them. Each holds up to three buffers of
 * 256 kB, so this bounds the memory, too. Amazon S3 gives 3 GB/s to 32 connections and no more to 64
 * (published figures of Run:ai's model streamer); a machine of few cores takes no more than 16 bring.
 */
const MAX_RANGES = availableParallelism() > 4 ? 32 : 16;
const ranges = new Semaphore(MAX_RANGES);
/** Files at once: while one is synced, the next is on its way. */
const MAX_FILES = 4;

/**
 * Resolves when all files are in their places, whole, checked and synced. When it fails, what was
 * received stays as a beginning that any download can go on from; when it is aborted or killed, all
 * of it stays for the next call.
 * @throws DownloadError CHECKSUM_MISMATCH, DISK_FULL; what `read` throws; the signal's reason
 */
export async function downloadRanged(
  files: readonly RangedFile[],
  options: RangedOptions,
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  setMaxListeners(0, signal);
  const slots = new Semaphore(MAX_FILES);
  const download = new Download(options, signal);
  const outcomes = files.map((file) =>
    slots.run(async () => {
      if (signal.aborted) return;
      try {
        await download.fetch(file);
      } catch (error) {
        failed.abort(explainDiskError(error, dirname(file.destination)));
      }
    }),
  );
  await Promise.all(outcomes);
  download.close();
  options.signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
}

class Download {
  readonly #options: RangedOptions;
  /** Aborted by the caller, or when one of the files has failed. */
  readonly #signal: AbortSignal;
  readonly #idle: RangeConnection[] = [];
  #bytes = 0;

  constructor(options: RangedOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  async fetch(file: RangedFile): Promise<void> {
    const target = await PartFile.open(file);
    if (target === undefined) {
      this.#progress(file.size);
      return;
    }
    this.#progress(target.bytes);
    // The others stop when one fails.
    const failed = new AbortController();
    const during = AbortSignal.any([this.#signal, failed.signal]);
    // Each part listens.
    setMaxListeners(0, during);
    try {
      for (let round = 1; ; round++) {
        const parts = target.missing().map((index) =>
          this.#part(file, target, index, during).catch((error: unknown) => {
            failed.abort(error);
          }),
        );
        await Promise.all(parts);
        during.throwIfAborted();
        if (await target.finish()) return;
        if (round === 2) throw mismatch(`${file.name} on the disk`);
        this.#progress(target.bytes - file.size);
        this.#options.log?.(`${file.name} changed on its way to the disk; parts of it again`);
      }
    } catch (error) {
      // Whoever comes later has use for all of it; the next source, which is now, for a beginning.
      if (this.#options.signal.aborted) await target.close();
      else await target.keepBeginning();
      throw error;
    }
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  async #part(
    file: RangedFile,
    target: PartFile,
    index: number,
    signal: AbortSignal,
  ): Promise<void> {
    const part = file.parts[index];
    if (part === undefined) return;
    await ranges.run(async () => {
      if (signal.aborted) return;
      const connection = this.#idle.pop() ?? new RangeConnection(this.#options);
      try {
        await withRetries(() => this.#attempt(file, target, part, connection, signal), {
          ...{ pauseMs: 200, ...this.#options, signal },
        });
        await target.keep(index);
      } finally {
        this.#idle.push(connection);
      }
    });
  }

  async #attempt(
    file: RangedFile,
    target: PartFile,
    part: ArtifactPart,
    connection: RangeConnection,
    signal: AbortSignal,
  ): Promise<void> {
    let found = 0;
    let received = 0;
    const sink: RangeSink = {
      see: (bytes) => {
        found = crc32(bytes, found);
      },
      write: async (bytes, position) => {
        await target.write(bytes, position);
        received += bytes.length;
        this.#progress(bytes.length);
      },
    };
    try {
      const range = { from: part.offset, length: part.length };
      await file.read(connection, range, sink, signal);
      if (found !== part.crc32) throw mismatch(`${file.name} at byte ${part.offset}`);
    } catch (error) {
      this.#progress(-received);
      throw error;
    }
  }

  #progress(bytes: number): void {
    if (bytes === 0) return;
    this.#bytes += bytes;
    this.#options.onProgress?.(this.#bytes);
  }
}

/** Worth another attempt: it may have happened on the way. */
function mismatch(what: string): ConnectionError {
  return new ConnectionError(
    'CHECKSUM_MISMATCH',
    `${what} does not have its checksum. A proxy may alter downloads, or the object is damaged: store it again`,
  );
}
