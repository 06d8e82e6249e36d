/** Stores an artifact (a model, libtorch) in a bucket: its files first, its manifest last. */
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { DownloadError } from '../../lib/errors.js';
import { keyBelow, partsOf, type ArtifactFile } from './artifact.js';
import type { Bucket } from './bucket.js';
import {
  abortUpload,
  completeUpload,
  listParts,
  listUploads,
  putPart,
  startUpload,
  UploadGoneError,
  type MultipartUpload,
  type StoredPart,
} from './bucket_multipart.js';
import { headObject } from './bucket_objects.js';
import { FileDigest } from './file_digest.js';

export interface UploadFile {
  /** Name in the manifest. */
  path: string;
  /** Where it lies. */
  file: string;
  /** What its SHA-256 must be, where that is known. */
  sha256?: string | undefined;
}

export interface ArtifactUpload {
  /** Key that all of it lies below, the bucket's prefix with it. */
  base: string;
  files: readonly UploadFile[];
  /** The manifest's key below `base`, and its text once the files are known. */
  manifest: string;
  describe: (files: ArtifactFile[]) => string;
  /** Small objects that are stored after the manifest, by their keys below `base`. */
  refs?: Readonly<Record<string, string>>;
}

export interface UploadOptions {
  signal: AbortSignal;
  /**
   * Awaited before each part is read: resolves when nothing more important is going on, rejects when
   * the signal aborts.
   */
  idle?: (signal: AbortSignal) => Promise<void>;
  /** Gets the bytes that are dealt with, of all. */
  onProgress?: (bytes: number, total: number) => void;
  /** Parts on their way at once; each is 8 MiB of memory. Default 3. */
  parallel?: number;
  /** Store objects again that are there with the right size, for one that is damaged. */
  replace?: boolean;
}

/** Leftovers of uploads are deleted at this age: nobody is at them any more. */
const LEFTOVER_MS = 24 * 3600_000;

/**
 * Whoever is killed half-way is followed by one who goes on with the parts that are there. Readers
 * see nothing of it before it is whole.
 * @throws BucketError BUCKET_FAILED; DownloadError CHECKSUM_MISMATCH where a file is not what it
 * should be; the signal's reason
 */
export async function uploadArtifact(
  bucket: Bucket,
  artifact: ArtifactUpload,
  options: UploadOptions,
): Promise<{ stored: number; bytes: number }> {
  const { base, files, manifest, describe, refs = {} } = artifact;
  const { signal } = options;
  const sizes = await Promise.all(files.map(async ({ file }) => (await stat(file)).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const leftovers = await listLeftovers(bucket, keyBelow(base, 'blobs/'), signal);
  const described: ArtifactFile[] = [];
  let [dealt, stored] = [0, 0];
  for (const file of files) {
    const found = await describeFile(file, options);
    described.push(found);
    const key = keyBelow(base, 'blobs', found.sha256);
    const there = options.replace ? undefined : await headObject(bucket, key, signal);
    if (there?.bytes !== found.size) {
      const upload = new FileUpload(bucket, key, file.file, found, options);
      const before = dealt;
      await upload.run(leftovers, (bytes) => options.onProgress?.(before + bytes, total));
      stored += found.size;
    }
    dealt += found.size;
    options.onProgress?.(dealt, total);
  }
  await bucket.put(keyBelow(base, manifest), describe(described), {
    ...{ contentType: 'application/json', signal },
  });
  for (const [name, text] of Object.entries(refs)) {
    await bucket.put(keyBelow(base, name), text, { signal });
  }
  for (const leftover of leftovers) {
    if (Date.now() - leftover.initiated.getTime() < LEFTOVER_MS) continue;
    await abortUpload(bucket, leftover, signal);
  }
  return { stored, bytes: total };
}

/** Keys that may write but not list uploads still can store; they begin anew each time. */
async function listLeftovers(
  bucket: Bucket,
  prefix: string,
  signal: AbortSignal,
): Promise<MultipartUpload[]> {
  return listUploads(bucket, prefix, signal).catch(() => {
    signal.throwIfAborted();
    return [];
  });
}

/** Size and checksums of a file, part by part, with pauses for what is more important. */
async function describeFile(file: UploadFile, options: UploadOptions): Promise<ArtifactFile> {
  const { size } = await stat(file.file);
  const cuts = partsOf(size);
  const described: ArtifactFile = { path: file.path, size, sha256: '', parts: [] };
  if (cuts.length < 2) {
    const bytes = await readFile(file.file);
    described.sha256 = createHash('sha256').update(bytes).digest('hex');
    described.parts = cuts.map((cut) => ({ ...cut, crc32: crc32(bytes) }));
  } else {
    const digest = new FileDigest(file.file);
    try {
      for (const cut of cuts) {
        await pause(options);
        described.parts.push({ ...cut, crc32: await digest.add(cut.offset, cut.length) });
      }
      described.sha256 = await digest.sha256();
    } finally {
      await digest.close();
    }
  }
  if (file.sha256 === undefined || file.sha256 === described.sha256) return described;
  throw new DownloadError(
    'CHECKSUM_MISMATCH',
    `${file.file} has the SHA-256 ${described.sha256} instead of ${file.sha256}: it is damaged and was not stored`,
  );
}

async function pause({ idle, signal }: UploadOptions): Promise<void> {
  signal.throwIfAborted();
  await idle?.(signal);
  signal.throwIfAborted();
}

class FileUpload {
  constructor(
    private readonly bucket: Bucket,
    private readonly key: string,
    private readonly path: string,
    private readonly file: ArtifactFile,
    private readonly options: UploadOptions,
  ) {}

  async run(leftovers: MultipartUpload[], onBytes: (bytes: number) => void): Promise<void> {
    const { signal } = this.options;
    if (this.file.parts.length < 2) {
      await pause(this.options);
      return this.bucket.put(this.key, await readFile(this.path), { signal });
    }
    const earlier = leftovers.filter(({ key }) => key === this.key);
    try {
      const { upload, parts } = await this.#resume(earlier);
      await this.#parts(upload, parts, onBytes);
      await completeUpload(this.bucket, upload, parts, signal);
    } catch (error) {
      // Another process may have completed it, and swept ours away.
      if (!(error instanceof UploadGoneError)) throw error;
    }
    const facts = await headObject(this.bucket, this.key, signal);
    if (facts?.bytes !== this.file.size) {
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${this.bucket.name}/${this.key} has ${facts?.bytes ?? 'no'} bytes after it was stored with ${this.file.size}`,
      );
    }
    for (const one of earlier) await abortUpload(this.bucket, one, signal);
  }

  /** The newest upload of these bytes that is not complete, with the parts it has; else a new one. */
  async #resume(
    earlier: MultipartUpload[],
  ): Promise<{ upload: MultipartUpload; parts: StoredPart[] }> {
    const { signal } = this.options;
    for (const upload of earlier.toReversed()) {
      try {
        const parts = await listParts(this.bucket, upload, signal);
        // Whoever cut it otherwise had other parts in mind.
        const fits = parts.every(
          ({ number, bytes }) => this.file.parts[number - 1]?.length === bytes,
        );
        if (fits) return { upload, parts };
      } catch (error) {
        if (!(error instanceof UploadGoneError)) throw error;
      }
    }
    return { upload: await startUpload(this.bucket, this.key, signal), parts: [] };
  }

  /** Stores what is missing, and leaves `parts` whole and in order. */
  async #parts(
    upload: MultipartUpload,
    parts: StoredPart[],
    onBytes: (bytes: number) => void,
  ): Promise<void> {
    const there = new Set(parts.map(({ number }) => number));
    const queue = [...this.file.parts.keys()].filter((index) => !there.has(index + 1));
    const report = (): void => onBytes(parts.reduce((sum, { bytes }) => sum + bytes, 0));
    report();
    const failed = new AbortController();
    const signal = AbortSignal.any([this.options.signal, failed.signal]);
    const source = await open(this.path, 'r');
    const lane = async (): Promise<void> => {
      // The same memory again and again: buffers that wait for the garbage collector add up.
      const memory = Buffer.allocUnsafeSlow(this.file.parts[0]?.length ?? 0);
      for (let index = queue.shift(); index !== undefined; index = queue.shift()) {
        await pause({ ...this.options, signal });
        const { offset, length, crc32: expected } = this.file.parts[index] ?? NO_PART;
        const body = memory.subarray(0, length);
        const { bytesRead } = await source.read(body, 0, length, offset);
        // What was described a moment ago is what is stored, or nothing.
        if (bytesRead !== length || crc32(body) !== expected) throw changedOnDisk(this.path);
        parts.push(await putPart(this.bucket, upload, index + 1, body, signal));
        report();
      }
    };
    try {
      const lanes = Array.from({ length: this.options.parallel ?? 3 }, () =>
        lane().catch((error: unknown) => failed.abort(error)),
      );
      await Promise.all(lanes);
      signal.throwIfAborted();
    } finally {
      await source.close();
    }
    parts.sort((a, b) => a.number - b.number);
  }
}

const NO_PART = { offset: 0, length: 0, crc32: 0 };

function changedOnDisk(path: string): DownloadError {
  return new DownloadError('CHECKSUM_MISMATCH', `${path} was changed while it was stored`);
}
