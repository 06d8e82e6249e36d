/** Checks a wheel and unpacks part of it; every file is held against the wheel's own RECORD. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buffer, text } from 'node:stream/consumers';
import { DownloadError } from '../../lib/errors.js';
import { syncPath } from '../storage/publish.js';
import { forEachZipEntry } from '../storage/zip.js';
import type { PinnedWheel } from './wheels.js';

/** Up to this many bytes a file is unpacked in memory: a stream for each of 9,000 headers is slow. */
const SMALL_FILE = 1 << 20;

export interface UnpackedFile {
  /** Relative to the folder that was unpacked to. */
  path: string;
  size: number;
  sha256: string;
}

/** The wheel's version as its name says it: "2.11.0+cpu" (PEP 427; "+" may be written "%2B"). */
export function wheelVersion(path: string): string {
  return decodeURIComponent(basename(path)).split('-')[1] ?? '';
}

/**
 * Accepts the pinned file, or, under a local version that PyTorch's own indexes give theirs
 * ("2.11.0+cpu"), another build: the user chose that index, and unpacking checks the rest.
 * @throws DownloadError CHECKSUM_MISMATCH
 */
export async function requirePinned(
  path: string,
  wheel: PinnedWheel,
  localVersions: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const local = wheelVersion(path).split('+')[1];
  if (local !== undefined && localVersions.includes(local)) return;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, { signal });
  const found = hash.digest('hex');
  if (found === wheel.sha256) return;
  throw new DownloadError(
    'CHECKSUM_MISMATCH',
    `${basename(path)} has the SHA-256 ${found} instead of ${wheel.sha256}: the index that pip uses serves another file for ${wheel.requirement}. Check pip's configuration (python3 -m pip config list), or set LIBTORCH to an unpacked libtorch.`,
  );
}

/**
 * Unpacks the entries that `place` gives a path under `folder`.
 * @throws DownloadError CHECKSUM_MISMATCH
 */
export async function unpackWheel(
  path: string,
  folder: string,
  place: (name: string) => string | undefined,
  signal: AbortSignal,
): Promise<UnpackedFile[]> {
  const record = await readRecord(path);
  const files: UnpackedFile[] = [];
  const folders = new Set<string>();
  const small: string[] = [];
  await forEachZipEntry(path, async (entry) => {
    const target = place(entry.name);
    if (target === undefined) return;
    signal.throwIfAborted();
    const parent = dirname(join(folder, target));
    if (!folders.has(parent)) await mkdir(parent, { recursive: true });
    folders.add(parent);
    const hash = createHash('sha256');
    if (entry.size <= SMALL_FILE) {
      const content = await buffer(await entry.open());
      hash.update(content);
      await writeFile(join(folder, target), content);
      small.push(join(folder, target));
    } else {
      const digesting = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          hash.update(chunk);
          done(null, chunk);
        },
      });
      // `flush` syncs the file before it is closed.
      const output = createWriteStream(join(folder, target), { flush: true });
      await pipeline(await entry.open(), digesting, output, { signal });
    }
    const sha256 = hash.digest();
    if (record.get(entry.name) !== sha256.toString('base64url')) {
      throw new DownloadError(
        'CHECKSUM_MISMATCH',
        `${entry.name} in ${basename(path)} is not what the wheel's RECORD says: the download is damaged. Run the set-up again.`,
      );
    }
    files.push({ path: target, size: entry.size, sha256: sha256.toString('hex') });
  });
  // Many at a time: the file system commits them together.
  for (let at = 0; at < small.length; at += 64) {
    signal.throwIfAborted();
    await Promise.all(small.slice(at, at + 64).map(syncPath));
  }
  return files;
}

/** SHA-256 (base64url, unpadded) by path: lines of "path,sha256=digest,size" (PEP 376, PEP 427). */
async function readRecord(path: string): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  await forEachZipEntry(path, async (entry) => {
    if (!/^[^/]+\.dist-info\/RECORD$/.test(entry.name)) return;
    for (const line of (await text(await entry.open())).split(/\r?\n/)) {
      const match = /^(?:"((?:[^"]|"")*)"|([^,"]*)),sha256=([\w-]+),\d*$/.exec(line);
      const name = match?.[1]?.replaceAll('""', '"') ?? match?.[2];
      if (match?.[3] !== undefined && name !== undefined) digests.set(name, match[3]);
    }
  });
  return digests;
}
