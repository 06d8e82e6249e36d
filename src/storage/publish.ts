/** Files and folders that others see whole or not at all, whatever is killed when. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
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
  const file = await FileDraft.create(path);
  try {
    await file.write(typeof content === 'string' ? Buffer.from(content) : content);
    await file.publish();
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** A file that is written beside its place, and replaces what is there when it is whole. */
export class FileDraft {
  readonly #path: string;
  readonly #aside: string;
  readonly #handle: FileHandle;

  private constructor(path: string, aside: string, handle: FileHandle) {
    this.#path = path;
    this.#aside = aside;
    this.#handle = handle;
  }

  static async create(path: string): Promise<FileDraft> {
    await mkdir(dirname(path), { recursive: true });
    const aside = join(dirname(path), `${INCOMPLETE}${randomUUID()}`);
    return new FileDraft(path, aside, await open(aside, 'wx'));
  }

  /** At its end. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes);
  }

  /** Over what stands at its beginning. */
  async overwriteStart(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += (await this.#handle.write(bytes, at, bytes.length - at, at)).bytesWritten;
    }
  }

  async publish(): Promise<void> {
    await this.#handle.sync();
    await this.#handle.close();
    await rename(this.#aside, this.#path);
    await syncPath(dirname(this.#path));
  }

  /** Does nothing where it was published. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#aside, { force: true });
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
