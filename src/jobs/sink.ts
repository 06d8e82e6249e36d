/** Collects bytes in memory, and in a temporary file when they grow beyond that. */
import { randomUUID } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explainDiskError, requireSpace } from '../storage/disk.js';

export interface Received {
  /** The bytes, or the path of a temporary file that holds them. */
  source: Uint8Array | string;
  bytes: number;
  /** Removes the temporary file, if there is one. */
  dispose(): Promise<void>;
}

export class Sink {
  readonly #maxMemoryBytes: number;
  readonly #expectedBytes: number;
  #chunks: Uint8Array[] = [];
  #file: FileHandle | undefined;
  #path = '';
  bytes = 0;

  /** `expectedBytes`: how many will come, where the sender says so. */
  constructor(maxMemoryBytes: number, expectedBytes?: number) {
    this.#maxMemoryBytes = maxMemoryBytes;
    // Servers that do not say make it NaN.
    this.#expectedBytes = expectedBytes || 0;
  }

  /** @throws DownloadError DISK_FULL where the temporary folder has no room. */
  async write(chunk: Uint8Array): Promise<void> {
    this.bytes += chunk.length;
    try {
      if (this.#file === undefined && this.bytes > this.#maxMemoryBytes) await this.#spill();
      if (this.#file === undefined) this.#chunks.push(chunk);
      else await this.#file.writeFile(chunk);
    } catch (error) {
      throw explainDiskError(error, tmpdir(), 'VOXPOD_SCRATCH');
    }
  }

  async end(): Promise<Received> {
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
    const wanted = Math.max(this.bytes, this.#expectedBytes);
    await requireSpace(tmpdir(), wanted, "The job's audio", 'VOXPOD_SCRATCH');
    this.#path = join(tmpdir(), `voxpod-${randomUUID()}.audio`);
    // "wx": the name is random, and whoever guessed it first must not choose where we write.
    this.#file = await open(this.#path, 'wx', 0o600);
    for (const chunk of this.#chunks) await this.#file.writeFile(chunk);
    this.#chunks = [];
  }
}
