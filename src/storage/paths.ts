/** Files and folders that may be there or not. */
import { existsSync, mkdirSync } from 'node:fs';
import { mkdir, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it. Not mkdir's `recursive`: where a parent that exists refuses with
 * ENOENT, as /proc does and a broken network volume may, Node 20 tries for ever.
 */
export async function makeFolder(path: string): Promise<void> {
  if (await exists(path)) return;
  if (dirname(path) !== path) await makeFolder(dirname(path));
  try {
    await mkdir(path);
  } catch (error) {
    if (!(await exists(path))) throw error;
  }
}

/** The same, for what must be there before anything else runs. */
export function makeFolderSync(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolderSync(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
}

export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** For `catch`: what is not there is undefined, anything else is thrown on. */
export function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}

/** Opens for reading and writing without losing what is there. */
export async function openForUpdate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return await open(path, 'wx+');
  }
}

/** Whether a name from elsewhere stays in the folder that it is put below; forward slashes only. */
export function isRelativePath(path: string): boolean {
  const parts = path.split('/');
  return (
    parts.every((part) => !['', '.', '..'].includes(part)) &&
    // eslint-disable-next-line no-control-regex -- those are what is refused
    !/[\u0000-\u001f\\]/.test(path)
  );
}
