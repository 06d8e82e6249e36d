/**
 * The cache layout of the Hugging Face hub's own tools:
 *   models--org--name/blobs/<digest>, snapshots/<commit>/<file> -> blobs, refs/<revision>
 */
import { lstat, mkdir, readFile, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import type { Digest } from '../storage/http_download.js';
import { ignoreMissing, makeFolder } from '../storage/paths.js';
import { publishFile, publishFolder, removeFolder, syncPath } from '../storage/publish.js';
import type { SourceListing } from '../storage/source.js';
import { hashFile, MANIFEST, readManifest, writeManifest, wrongSize } from './manifest.js';

/**
 * Caches that other tools fill: read, never written. HF_HUB_CACHE, else HF_HOME/hub or its default,
 * and RunPod's model cache on a network volume.
 */
export function foreignCaches(env: NodeJS.ProcessEnv): string[] {
  const user = env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const own = env['HF_HUB_CACHE'] || join(env['HF_HOME'] || join(user, 'huggingface'), 'hub');
  return [...new Set([resolve(own), '/runpod-volume/huggingface-cache/hub'])];
}

/** "models--org--name". */
export function repositoryFolder(repository: string): string {
  return `models--${repository.replaceAll('/', '--')}`;
}

/** "org/name" of "models--org--name"; undefined for other names. */
export function repositoryOf(folder: string): string | undefined {
  const match = /^models--(.+)$/.exec(folder);
  // Hub names hold no two hyphens in a row, so the first two are the slash.
  return match?.[1]?.replace('--', '/');
}

/** Repositories that have a folder in the cache at `root`. */
export async function repositoriesIn(root: string): Promise<string[]> {
  const names = await readdir(root).catch(ignoreMissing);
  return (names ?? []).flatMap((name) => repositoryOf(name) ?? []);
}

export interface FoundSnapshot {
  folder: string;
  commit: string;
  /** What is wrong with it, if its record says that something is. */
  problem: string | undefined;
}

/** What a folder lacks to hold the repository's model; empty where it is whole. */
export type FolderCheck = (repository: string, folder: string) => Promise<string[]>;

/**
 * The snapshot of a revision; undefined where there is none, or one that another tool has not filled
 * yet. Only sizes are looked at.
 * @throws errors of the file system, except that something is missing
 */
export async function findSnapshot(
  root: string,
  repository: string,
  revision: string,
  lacks: FolderCheck,
): Promise<FoundSnapshot | undefined> {
  const home = join(root, repositoryFolder(repository));
  const ref = (await readFile(join(home, 'refs', revision), 'utf8').catch(ignoreMissing)) ?? '';
  const commit = ref.trim() || revision;
  if (!/^[0-9a-f]{40}$/.test(commit)) return undefined;
  return inspect(join(home, 'snapshots', commit), { repository, commit, lacks });
}

/** All snapshots of a repository that are whole, or that should be and are not. */
export async function snapshotsOf(
  root: string,
  repository: string,
  lacks: FolderCheck,
): Promise<FoundSnapshot[]> {
  const folder = join(root, repositoryFolder(repository), 'snapshots');
  const found: FoundSnapshot[] = [];
  for (const commit of (await readdir(folder).catch(ignoreMissing)) ?? []) {
    if (!/^[0-9a-f]{40}$/.test(commit)) continue;
    const snapshot = await inspect(join(folder, commit), { repository, commit, lacks });
    if (snapshot !== undefined) found.push(snapshot);
  }
  return found;
}

/** Whether a cache has the repository in any state that can be used. */
export async function isStored(
  root: string,
  repository: string,
  lacks: FolderCheck,
): Promise<boolean> {
  const snapshots = await snapshotsOf(root, repository, lacks);
  return snapshots.some(({ problem }) => problem === undefined);
}

/** Names of revisions that stand for a commit. */
export async function refsTo(root: string, repository: string, commit: string): Promise<string[]> {
  const folder = join(root, repositoryFolder(repository), 'refs');
  const refs: string[] = [];
  for (const name of (await readdir(folder).catch(ignoreMissing)) ?? []) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => '');
    if (text.trim() === commit) refs.push(name);
  }
  return refs;
}

async function inspect(
  folder: string,
  expected: { repository: string; commit: string; lacks: FolderCheck },
): Promise<FoundSnapshot | undefined> {
  const { repository, commit, lacks } = expected;
  const manifest = await readManifest(folder);
  if (manifest === 'unreadable') {
    return { folder, commit, problem: `${MANIFEST} cannot be read` };
  }
  if (manifest !== undefined) return { folder, commit, problem: await wrongSize(folder, manifest) };
  // Python's tools write no such record and fill a snapshot file by file.
  const missing = await lacks(repository, folder);
  return missing.length === 0 ? { folder, commit, problem: undefined } : undefined;
}

/** Whether a file of the listing lies in its place already and still has its digest. */
export async function hasBlob(
  root: string,
  repository: string,
  digest: Digest,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  const path = join(root, repositoryFolder(repository), 'blobs', digest.hex);
  const status = await stat(path).catch(ignoreMissing);
  if (status?.isFile() !== true || status.size !== size) return false;
  return (await hashFile(path, digest.algorithm, size, signal)) === digest.hex;
}

export interface Publication {
  listing: SourceListing;
  /** Holds each file that is not in its place yet, verified and synced, under its digest. */
  staging: string;
  /** Names of revisions that stand for this commit from now on. */
  refs: readonly string[];
  /** Where it came from, for the record. */
  source: string;
  signal: AbortSignal;
}

/**
 * Publishes a snapshot and returns its folder. It appears whole; where another process was first, its
 * snapshot is completed, not replaced.
 */
export async function publishSnapshot(root: string, publication: Publication): Promise<string> {
  const { listing, staging, refs, source, signal } = publication;
  const { repository, commit } = listing;
  const home = join(root, repositoryFolder(repository));
  const place = join(home, 'snapshots', commit);
  const blobs = join(home, 'blobs');
  await mkdir(blobs, { recursive: true });
  const snapshot = join(staging, 'snapshot');
  await rm(snapshot, { recursive: true, force: true });
  await mkdir(snapshot);
  const files = [];
  for (const { path, size, digest } of listing.files) {
    const blob = join(blobs, digest.hex);
    // What is not in staging is in its place already.
    await rename(join(staging, digest.hex), blob).catch(ignoreMissing);
    const status = await stat(blob);
    if (status.size !== size)
      throw new Error(`${blob} has ${status.size} bytes instead of ${size}`);
    const known = digest.algorithm === 'sha256';
    const sha256 = known ? digest.hex : await hashFile(blob, 'sha256', size, signal);
    files.push({ path, size, sha256 });
    const link = join(snapshot, path);
    await mkdir(dirname(link), { recursive: true });
    // As it is to be from where the snapshot goes.
    await symlink(relative(dirname(join(place, path)), blob), link);
  }
  await syncPath(blobs);
  for (const folder of foldersOf(listing)) await syncPath(join(snapshot, folder));
  await writeManifest(snapshot, { repository, commit, source, files });
  signal.throwIfAborted();
  if (!(await publishFolder(snapshot, place))) {
    for (const path of [...files.map((file) => file.path), MANIFEST]) {
      await makeFolder(dirname(join(place, path)));
      await rename(join(snapshot, path), join(place, path));
    }
    for (const folder of foldersOf(listing)) await syncPath(join(place, folder));
    await syncPath(place);
    await removeFolder(snapshot);
  }
  for (const ref of refs) {
    if (ref !== commit) await publishFile(join(home, 'refs', ref), commit);
  }
  return place;
}

/** Folders below the snapshot's own that its files lie in. */
function foldersOf({ files }: SourceListing): Set<string> {
  const folders = new Set<string>();
  for (const { path } of files) {
    for (let at = dirname(path); at !== '.'; at = dirname(at)) folders.add(at);
  }
  return folders;
}

/** Blobs that no snapshot of the repository names. Those that another tool still fills are not told. */
export async function orphanedBlobs(root: string, repository: string): Promise<string[]> {
  const home = join(root, repositoryFolder(repository));
  const blobs = join(home, 'blobs');
  const used = new Set<string>();
  for (const commit of (await readdir(join(home, 'snapshots')).catch(ignoreMissing)) ?? []) {
    const folder = join(home, 'snapshots', commit);
    const names = await readdir(folder, { recursive: true }).catch(ignoreMissing);
    for (const name of names ?? []) {
      const status = await stat(join(folder, name)).catch(ignoreMissing);
      if (status) used.add(`${status.dev}:${status.ino}`);
    }
  }
  const orphans: string[] = [];
  for (const name of (await readdir(blobs).catch(ignoreMissing)) ?? []) {
    const status = await lstat(join(blobs, name)).catch(ignoreMissing);
    if (status === undefined || used.has(`${status.dev}:${status.ino}`)) continue;
    if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name)) orphans.push(join(blobs, name));
  }
  return orphans;
}
