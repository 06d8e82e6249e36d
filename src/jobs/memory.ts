/** Memory that this process may still take: the machine's, or less where a container limits it. */
import { readFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import { dirname, join } from 'node:path';

export interface AvailableMemory {
  bytes: number;
  /** What sets the bound, for a message. */
  limit: string;
}

/** `root` is where /proc and /sys are found. */
export async function availableMemory(root = '/'): Promise<AvailableMemory> {
  const candidates: AvailableMemory[] = [];
  const meminfo = await text(join(root, 'proc/meminfo'));
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1];
  candidates.push({
    bytes: kilobytes === undefined ? freemem() : Number(kilobytes) * 1024,
    limit: 'of the machine',
  });
  const groups = await text(join(root, 'proc/self/cgroup'));
  // Version 1 names its controllers, version 2 is the line without any; a machine may have both.
  const v1 = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m.exec(groups)?.[1];
  const v2 = /^0::(.*)$/m.exec(groups)?.[1];
  const sys = join(root, 'sys/fs/cgroup');
  candidates.push(...(await upwards(join(sys, 'memory'), v1 ?? '/', cgroup1)));
  candidates.push(...(await upwards(sys, v2 ?? '/', cgroup2)));
  return candidates.reduce((least, next) => (next.bytes < least.bytes ? next : least));
}

/** A limit may be set on any folder above; from inside a container some may not be seen. */
async function upwards(
  root: string,
  path: string,
  read: (folder: string) => Promise<number | undefined>,
): Promise<AvailableMemory[]> {
  const found: AvailableMemory[] = [];
  for (let at = join('/', path); ; at = dirname(at)) {
    const bytes = await read(join(root, at));
    if (bytes !== undefined) found.push({ bytes, limit: "by the container's limit" });
    if (at === '/') return found;
  }
}

/** Pages of files can be given up at once, so those that are not in use do not count as taken. */
async function cgroup2(folder: string): Promise<number | undefined> {
  return left(
    await text(join(folder, 'memory.max')),
    await text(join(folder, 'memory.current')),
    /^inactive_file (\d+)/m.exec(await text(join(folder, 'memory.stat')))?.[1],
  );
}

async function cgroup1(folder: string): Promise<number | undefined> {
  return left(
    await text(join(folder, 'memory.limit_in_bytes')),
    await text(join(folder, 'memory.usage_in_bytes')),
    /^total_inactive_file (\d+)/m.exec(await text(join(folder, 'memory.stat')))?.[1],
  );
}

/** Undefined where there is no limit ("max", or a number beyond any machine). */
function left(limit: string, usage: string, inactive = '0'): number | undefined {
  const [most, used] = [Number.parseInt(limit, 10), Number.parseInt(usage, 10)];
  if (!Number.isFinite(most) || !Number.isFinite(used) || most >= 2 ** 60) return undefined;
  return Math.max(0, most - used + Number(inactive));
}

async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
