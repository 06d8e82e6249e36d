/**
 * The cache layout of the Hugging Face hub's own tools:
 *   models--org--name/blobs/<digest>, snapshots/<commit>/<file> -> blobs, refs/<revision>
 */
import { mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { SourceListing } from '../storage/source.js';
import { publishFile, publishFolder, removeFolder, syncPath } from '../storage/publish.js';
import { missingFiles } from './files.js';

/** Name of the record voxpod adds to a snapshot: what it holds and where it came from. */
export const MANIFEST = 'voxpod.json';

/**
 * Caches that other tools fill: read, never written. HF_HUB_CACHE, else HF_HOME/hub or its default,
 * and RunPod's model cache on a network volume.
 */
export function foreignCaches(env: NodeJS.ProcessEnv): string[] {
  const user = env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const own = env['HF_HUB_CACHE'] || join(env['HF_HOME'] || join(user, 'huggingface'), 'hub');
  return [resolve(own), '/runpod-volume/huggingface-cache/hub'];
}

/** "models--org--name". */
export function repositoryFolder(repository: string): string {
  return `models--${repository.replaceAll('/', '--')}`;
}

/** The snapshot of a revision, if the cache at `root` has it whole. */
export async function findSnapshot(
  root: string,
  repository: string,
  revision: string,
): Promise<string | undefined> {
  const home = join(root, repositoryFolder(repository));
  const ref = await readFile(join(home, 'refs', revision), 'utf8').catch(() => revision);
  const commit = ref.trim();
  if (!/^[0-9a-f]{40}$/.test(commit)) return undefined;
  const folder = join(home, 'snapshots', commit);
  // Python's tools fill a snapshot file by file.
  return (await missingFiles(folder)).length === 0 ? folder : undefined;
}

/** Where a verified file of the listing lies already, if it does. */
export async function hasBlob(root: string, repository: string, digest: string, size: number) {
  const path = join(root, repositoryFolder(repository), 'blobs', digest);
  return stat(path).then(
    (status) => status.isFile() && status.size === size,
    () => false,
  );
}

/**
 * Publishes the verified files that lie in `staging` under their digests. The snapshot appears
 * whole; where another process was first, its snapshot is completed, not replaced.
 */
export async function publishSnapshot(
  root: string,
  revision: string,
  listing: SourceListing,
  staging: string,
  source: string,
): Promise<string> {
  const home = join(root, repositoryFolder(listing.repository));
  const blobs = join(home, 'blobs');
  await mkdir(blobs, { recursive: true });
  for (const { digest } of listing.files) {
    await rename(join(staging, digest.hex), join(blobs, digest.hex)).catch(ignoreMissing);
  }
  await syncPath(blobs);
  const snapshot = join(staging, 'snapshot');
  await rm(snapshot, { recursive: true, force: true });
  await mkdir(snapshot);
  for (const { path, digest } of listing.files) {
    await symlink(join('..', '..', 'blobs', digest.hex), join(snapshot, path));
  }
  const manifest = {
    ...{ repository: listing.repository, revision, commit: listing.commit, source },
    files: listing.files.map(({ path, size, digest }) => ({
      ...{ path, size, [digest.algorithm]: digest.hex },
    })),
  };
  await writeFile(join(snapshot, MANIFEST), JSON.stringify(manifest, null, 2) + '\n');
  await syncPath(join(snapshot, MANIFEST));
  const place = join(home, 'snapshots', listing.commit);
  if (!(await publishFolder(snapshot, place))) {
    for (const path of [...listing.files.map((file) => file.path), MANIFEST]) {
      await rename(join(snapshot, path), join(place, path));
    }
    await syncPath(place);
    await removeFolder(snapshot);
  }
  if (revision !== listing.commit) await publishFile(join(home, 'refs', revision), listing.commit);
  return place;
}

/** A blob that is not in staging is in its place already. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
