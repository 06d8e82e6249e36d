/** Files and folders that others see whole or not at all, whatever is killed when. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isAbandoned, tryClaimFolder } from './claim.js';

export const INCOMPLETE = '.incomplete-';
export const TRASH = '.trash-';

/** Where something is put together before it is published: beside its place, on the same disk. */
export function incompleteFolder(root: string, key: string): string {
  return join(root, INCOMPLETE + key);
}

/** Replaces a file at once. */
export async function publishFile(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = join(dirname(path), `${INCOMPLETE}${randomUUID()}`);
  try {
    await writeFile(aside, content);
    await syncPath(aside);
    await rename(aside, path);
    await syncPath(dirname(path));
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

/**
 * Moves a finished folder to its place. False when somebody else's is there already, which is
 * then the one that counts. The files in it must be synced; its entries are synced here.
 */
export async function publishFolder(staged: string, place: string): Promise<boolean> {
  await syncPath(staged);
  await mkdir(dirname(place), { recursive: true });
  try {
    await rename(staged, place);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
  await syncPath(dirname(place));
  return true;
}

/** Takes a folder away: gone from sight at once, then deleted. */
export async function removeFolder(folder: string): Promise<void> {
  const trash = join(dirname(folder), TRASH + randomUUID());
  try {
    await rename(folder, trash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(trash, { recursive: true, force: true });
}

/** Deletes what dead processes left in `root` and did not touch for `ageMs`. */
export async function removeLeftovers(
  root: string,
  ageMs: number,
  except: readonly string[] = [],
): Promise<void> {
  const names = await readdir(root).catch(() => []);
  for (const name of names) {
    const path = join(root, name);
    if (except.includes(path)) continue;
    if (name.startsWith(TRASH)) await rm(path, { recursive: true, force: true });
    else if (name.startsWith(INCOMPLETE)) await removeAbandoned(path, ageMs).catch(() => undefined);
  }
}

/** Deletes a folder that a dead process worked in, after claiming it, or a file that one left. */
async function removeAbandoned(path: string, ageMs: number): Promise<void> {
  const status = await stat(path);
  if (!status.isDirectory()) {
    // Files are put together in moments.
    if (Date.now() - status.mtimeMs >= Math.max(ageMs, 60_000)) await rm(path, { force: true });
    return;
  }
  if (!(await isAbandoned(path, ageMs))) return;
  const claim = await tryClaimFolder(path);
  if (claim === undefined) return;
  await removeFolder(path);
  await claim.release();
}

/** Makes a file's bytes, or a folder's entries, survive a crash of the machine. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
