/**
 * Small files that say "a living process needs this": leases on models and reservations of space.
 *
 * Who holds stands in the file's name, so that it is made whole by one system call and takes no block
 * of a full disk. The holder touches it; one whose process is dead, or silent for ten minutes on
 * another machine, no longer counts and is cleared away by whoever looks.
 */
import { randomUUID } from 'node:crypto';
import { open, readdir, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../storage/paths.js';
import { isDead, self, UNSEEN_OWNER_MS, type Owner } from '../storage/owner.js';

export interface Hold {
  /** Does nothing when called again. Never rejects. */
  release(): Promise<void>;
}

/** Makes a hold in `folder`, with a number that goes with it. */
export async function hold(folder: string, amount = 0): Promise<Hold> {
  const { machine, pid, started } = await self();
  const name = [amount, machine, pid, started, randomUUID().slice(0, 8)].join('.');
  const file = join(folder, name);
  await create(folder, file);
  const beat = (): void => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  };
  const heart = setInterval(beat, UNSEEN_OWNER_MS / 10);
  heart.unref();
  return {
    async release() {
      clearInterval(heart);
      await rm(file, { force: true }).catch(() => undefined);
      // Fails where others hold, too.
      await rmdir(folder).catch(() => undefined);
    },
  };
}

/** The amounts of the holds in `folder` that count. */
export async function liveHolds(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  const amounts: number[] = [];
  for (const name of names) {
    const parsed = parse(name);
    if (parsed === undefined) continue;
    const file = join(folder, name);
    const status = await stat(file).catch(() => undefined);
    if (status === undefined) continue;
    if (await isDead(parsed.owner, status.mtimeMs)) {
      await rm(file, { force: true }).catch(() => undefined);
    } else {
      amounts.push(parsed.amount);
    }
  }
  return amounts;
}

async function create(folder: string, file: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await makeFolder(folder);
      await (await open(file, 'wx')).close();
      return;
    } catch (error) {
      // The last one to release takes the folder away.
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'ENOENT' && code !== 'EEXIST') || attempt === 100) throw error;
    }
  }
}

function parse(name: string): { amount: number; owner: Owner } | undefined {
  const match = /^(\d+)\.([0-9a-f]{16})\.(\d+)\.(\d*)\.[0-9a-f]{8}$/.exec(name);
  if (match === null) return undefined;
  const [, amount, machine = '', pid, started = ''] = match;
  return { amount: Number(amount), owner: { machine, pid: Number(pid), started } };
}
