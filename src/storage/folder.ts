/**
 * Makes a folder and those above it. Not mkdir's `recursive`: where a parent that exists refuses with
 * ENOENT, as /proc does and a broken network volume may, Node 20 tries for ever.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

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

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
