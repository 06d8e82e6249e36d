/** The record in a snapshot: which files it has, of what size and SHA-256. Written last. */
import { open, readFile, readdir, readlink, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { newHash, type Digest } from '../storage/http_download.js';
import { isRelativePath } from '../storage/paths.js';
import { syncPath } from '../storage/publish.js';

export const MANIFEST = 'voxpod.json';

const manifestSchema = z.object({
  repository: z.string(),
  commit: z.string(),
  source: z.string(),
  files: z.array(
    z.object({
      path: z.string().refine(isRelativePath),
      size: z.number().int().nonnegative(),
      /** Records of earlier versions name git's SHA-1 where the hub gave no other digest. */
      sha256: z.string().optional(),
      'git-sha1': z.string().optional(),
    }),
  ),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** Undefined where there is none. */
export async function readManifest(folder: string): Promise<Manifest | 'unreadable' | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, MANIFEST), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch {
    return 'unreadable';
  }
}

export async function writeManifest(
  folder: string,
  manifest: {
    repository: string;
    commit: string;
    source: string;
    files: { path: string; size: number; sha256: string }[];
  },
): Promise<void> {
  const path = join(folder, MANIFEST);
  await writeFile(path, JSON.stringify(manifest, null, 2) + '\n');
  await syncPath(path);
}

/** The first file that is not there or not as long as it should be, in words. */
export async function wrongSize(folder: string, manifest: Manifest): Promise<string | undefined> {
  for (const { path, size } of manifest.files) {
    const status = await stat(join(folder, path)).catch((error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    });
    if (status === undefined) return `${path} is missing`;
    if (status.size !== size) return `${path} has ${status.size} bytes instead of ${size}`;
  }
  return undefined;
}

export interface SnapshotFile {
  path: string;
  size: number;
  /** Undefined where nothing says what it should be. */
  digest: Digest | undefined;
  /** The digest that the hub knows it by, where it links to a blob of that name. */
  blob: Digest | undefined;
}

/** What a snapshot holds, from its record, else from what lies there. */
export async function filesOf(folder: string): Promise<SnapshotFile[]> {
  const manifest = await readManifest(folder);
  if (manifest !== undefined && manifest !== 'unreadable') {
    return Promise.all(
      manifest.files.map(async ({ path, size, sha256, 'git-sha1': sha1 }) => {
        const blob = await blobOf(join(folder, path));
        const digest = digestOf(sha256 ?? sha1 ?? '') ?? blob;
        return { path, size, digest, blob };
      }),
    );
  }
  const files: SnapshotFile[] = [];
  for (const path of await readdir(folder, { recursive: true })) {
    if (path === MANIFEST) continue;
    const status = await stat(join(folder, path));
    if (!status.isFile()) continue;
    const blob = await blobOf(join(folder, path));
    files.push({ path, size: status.size, digest: blob, blob });
  }
  return files;
}

async function blobOf(path: string): Promise<Digest | undefined> {
  return digestOf(basename(await readlink(path).catch(() => '')));
}

/** 64 digits are a SHA-256, 40 are git's name of a blob. */
function digestOf(hex: string): Digest | undefined {
  if (/^[0-9a-f]{64}$/.test(hex)) return { algorithm: 'sha256', hex };
  if (/^[0-9a-f]{40}$/.test(hex)) return { algorithm: 'git-sha1', hex };
  return undefined;
}

/** Small enough that other work on this thread goes on between two of them. */
export const CHUNK_BYTES = 1 << 20;

export async function hashFile(
  path: string,
  algorithm: Digest['algorithm'],
  size: number,
  signal?: AbortSignal,
): Promise<string> {
  const hash = newHash(algorithm, size);
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
      await nextTurn();
    }
  } finally {
    await file.close();
  }
}
