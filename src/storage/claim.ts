/**
 * A folder that one process works in at a time, also over a network volume where file locks lie.
 *
 * The owner writes `owner-N.json` and touches it while it works. Whoever finds the last owner dead
 * takes over by creating `owner-N+1.json` exclusively, which only one can, and goes on with what
 * lies there. The claim saves double work; nothing may depend on it for correctness: a process that
 * was merely suspended may come back and write beside its successor.
 */
import { mkdir, readFile, readdir, readlink, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

interface Owner {
  /** Machine and process namespace within which `pid` means something. */
  machine: string;
  pid: number;
  /** Start time of the process, which tells it from a later one with its number. */
  started: string;
  released?: boolean;
}

export interface Claim {
  readonly folder: string;
  /** Aborted when somebody took this process for dead and goes on in its place. */
  readonly lost: AbortSignal;
  /** Lets the next one have the folder, with what lies in it. */
  release(): Promise<void>;
}

export interface ClaimOptions {
  signal?: AbortSignal | undefined;
  /** Asked before waiting and once the folder is ours: true when there is nothing left to do. */
  done: () => Promise<boolean>;
  /** Called once, when another process is found at work. */
  onWait?: () => void;
  /** Milliseconds without a touch after which an owner elsewhere counts as dead. Default 60 s. */
  staleMs?: number;
  /** Milliseconds between two looks. Default 250. */
  pollMs?: number;
}

/** Resolves with the claim, or with undefined as soon as `done` says so. */
export async function claimFolder(
  folder: string,
  options: ClaimOptions,
): Promise<Claim | undefined> {
  const { signal, done, onWait, staleMs = 60_000, pollMs = 250 } = options;
  const watched = { key: '', since: 0 };
  let waiting = false;
  for (;;) {
    signal?.throwIfAborted();
    if (await done()) return undefined;
    await mkdir(folder, { recursive: true });
    const last = await lastOwner(folder);
    if (last === undefined || (await isGone(last, watched, staleMs))) {
      const claim = await take(folder, (last?.generation ?? 0) + 1, staleMs);
      if (claim === undefined) continue;
      // It may have been published between our look and our claim.
      if (!(await done())) return claim;
      await claim.release();
      return undefined;
    }
    if (!waiting) onWait?.();
    waiting = true;
    await sleep(pollMs, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
  }
}

/** How long an owner that cannot be looked at is believed to live, for clearing up. */
const UNSEEN_OWNER_MS = 10 * 60_000;

/** Whether nobody works in the folder and nobody has for `ageMs`; for clearing up. */
export async function isAbandoned(folder: string, ageMs: number): Promise<boolean> {
  const last = await lastOwner(folder);
  // Clocks of file systems run ahead by fractions.
  const age = Math.max(0, Date.now() - (last?.mtimeMs ?? (await stat(folder)).mtimeMs));
  if (last?.owner?.released === true) return age >= ageMs;
  if (last?.owner?.machine === (await self()).machine) {
    return age >= ageMs && !(await isAlive(last.owner));
  }
  return age >= Math.max(ageMs, UNSEEN_OWNER_MS);
}

interface LastOwner {
  generation: number;
  /** Undefined while it is being written, or where it cannot be read. */
  owner: Owner | undefined;
  mtimeMs: number;
}

async function lastOwner(folder: string): Promise<LastOwner | undefined> {
  const names = await readdir(folder).catch(ignoreMissing);
  const generations = (names ?? []).flatMap((name) => {
    const match = /^owner-(\d+)\.json$/.exec(name);
    return match ? [Number(match[1])] : [];
  });
  if (generations.length === 0) return undefined;
  const generation = Math.max(...generations);
  const file = ownerFile(folder, generation);
  const status = await stat(file).catch(ignoreMissing);
  if (status === undefined) return undefined;
  const text = (await readFile(file, 'utf8').catch(ignoreMissing)) ?? '';
  return { generation, owner: parseOwner(text), mtimeMs: status.mtimeMs };
}

async function isGone(
  last: LastOwner,
  watched: { key: string; since: number },
  staleMs: number,
): Promise<boolean> {
  if (last.owner?.released === true) return true;
  if (last.owner?.machine === (await self()).machine) return !(await isAlive(last.owner));
  // Another machine: judged by its touches, timed by our clock, since theirs may differ.
  const key = `${last.generation} ${last.mtimeMs}`;
  const now = performance.now();
  if (watched.key !== key) Object.assign(watched, { key, since: now });
  return now - watched.since > staleMs;
}

async function take(
  folder: string,
  generation: number,
  staleMs: number,
): Promise<Claim | undefined> {
  const file = ownerFile(folder, generation);
  const owner = await self();
  try {
    await writeFile(file, JSON.stringify(owner), { flag: 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOENT') return undefined;
    throw error;
  }
  const lost = new AbortController();
  const beat = async (): Promise<void> => {
    const now = new Date();
    await utimes(file, now, now).catch(ignoreMissing);
    const last = await lastOwner(folder);
    if (last !== undefined && last.generation > generation) {
      lost.abort(new Error(`Another process took over ${folder}`));
    }
  };
  const heart = setInterval(() => void beat().catch(() => undefined), staleMs / 6);
  heart.unref();
  return {
    folder,
    lost: lost.signal,
    async release() {
      clearInterval(heart);
      // The folder may be gone already: published and removed.
      const released = JSON.stringify({ ...owner, released: true });
      await writeFile(file, released, { flag: 'r+' }).catch(ignoreMissing);
    },
  };
}

async function isAlive(owner: Owner): Promise<boolean> {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return owner.started === (await startTime(owner.pid));
}

let ownSelf: Promise<Owner> | undefined;

function self(): Promise<Owner> {
  ownSelf ??= (async () => {
    // Containers on one machine share the boot id and often the host name, but not this namespace.
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => hostname());
    const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
    const machine = `${boot.trim()} ${namespace}`;
    return { machine, pid: process.pid, started: await startTime(process.pid) };
  })();
  return ownSelf;
}

/** Clock ticks since boot at which the process started (proc(5): field 22), or "" without /proc. */
async function startTime(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in parentheses, which may hold anything.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { machine, pid, started, released } = JSON.parse(text) as Partial<Owner>;
    if (typeof machine !== 'string' || !Number.isSafeInteger(pid)) return undefined;
    return {
      machine,
      pid: pid as number,
      started: String(started),
      released: released === true,
    };
  } catch {
    return undefined;
  }
}

function ownerFile(folder: string, generation: number): string {
  return join(folder, `owner-${generation}.json`);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
