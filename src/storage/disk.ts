/** Free space, asked before anything of size is written. */
import { readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DownloadError, invalidArgument } from '../../lib/errors.js';

/** Left free beside what is written, so that logs and small files of others still fit. */
export const HEADROOM_BYTES = 64 * 1024 * 1024;

/** Bytes that an unprivileged process may still write under `path`, which need not exist yet. */
export async function freeBytes(path: string): Promise<number> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(at) === at) throw error;
    }
  }
}

/** Bytes of all files below a folder; those that go meanwhile count nothing. */
export async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      (status) => (status.isFile() ? status.size : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/**
 * Throws DISK_FULL unless `bytes` (and some headroom) fit under `folder`, which `variable` can move.
 */
export async function requireSpace(
  folder: string,
  bytes: number,
  what: string,
  variable = 'VOXPOD_CACHE',
): Promise<void> {
  const free = await freeBytes(folder);
  if (free >= bytes + HEADROOM_BYTES) return;
  throw new DownloadError(
    'DISK_FULL',
    `${what} needs ${formatBytes(bytes)} and ${formatBytes(HEADROOM_BYTES)} to spare, but ${folder} has ${formatBytes(free)} free. Free some space, or set ${variable} to a folder on a larger disk.`,
  );
}

/** Turns the system's ENOSPC and EDQUOT into DISK_FULL; anything else is returned as it is. */
export function explainDiskError(
  error: unknown,
  folder: string,
  variable = 'VOXPOD_CACHE',
): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new DownloadError(
    'DISK_FULL',
    `No space left for writing in ${folder}. Free some space, or set ${variable} to a folder on a larger disk.`,
    { cause: error },
  );
}

/** What explains a full disk, from the system or from explainDiskError. */
export function isDiskFull(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'DISK_FULL';
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, b: 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9, t: 1e12, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/**
 * Bytes from "20GB", "1.5 TB", "500MiB" or a plain number.
 * @throws ArgumentError INVALID_ARGUMENT, naming `name`
 */
export function parseBytes(name: string, text: string): number {
  const [, digits = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  const bytes = Math.floor(Number(digits) * (factor ?? NaN));
  if (digits === '' || factor === undefined || !Number.isSafeInteger(bytes)) {
    throw invalidArgument(name, 'a size such as 20GB, 500MB or a number of bytes', text);
  }
  return bytes;
}

/** "145.2 MB", in powers of 1000 as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
