/**
 * A folder that one process works in at a time, also over a network volume where file locks lie.
 *
 * The owner writes `owner-N.json` and touches it while it works. Whoever finds the last owner dead
 * takes over by creating `owner-N+1.json` exclusively, which only one can, and goes on with what
 * lies there. The claim saves double work; nothing may depend on it for correctness: a process that
 * was merely suspended may come back and write beside its successor.
 */
import { randomUUID } from 'node:crypto';
import { link, open, readFile, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ignoreMissing, makeFolder } from './paths.js';
import { isAlive, isDead, self, type Owner } from './owner.js';

interface Holder extends Owner {
  /** Tells one claim from the next of the same process. */
  id: string;
  released: boolean;
}

/** Somebody took this process for dead and goes on in its place. */
export class ClaimLostError extends Error {}

export interface Claim {
  readonly folder: string;
  /** Aborted, with a ClaimLostError, when it is somebody else's. */
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

const DEFAULT_STALE_MS = 60_000;
const DRAFT = 'draft-';

/** Resolves with the claim, or with undefined as soon as `done` says so. */
export async function claimFolder(
  folder: string,
  options: ClaimOptions,
): Promise<Claim | undefined> {
  const { signal, done, onWait, staleMs = DEFAULT_STALE_MS, pollMs = 250 } = options;
  const watched = { key: '', since: 0 };
  let waiting = false;
  for (;;) {
    signal?.throwIfAborted();
    if (await done()) return undefined;
    await makeWorkplace(folder);
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

/** The claim, unless somebody has it or may have it: undefined at once then. */
export async function tryClaimFolder(folder: string): Promise<Claim | undefined> {
  await makeWorkplace(folder);
  const last = await lastOwner(folder);
  if (last !== undefined && !(await isOver(last))) return undefined;
  return take(folder, (last?.generation ?? 0) + 1, DEFAULT_STALE_MS);
}

/** Whether nobody works in the folder and nobody has for `ageMs`; for clearing up. */
export async function isAbandoned(folder: string, ageMs: number): Promise<boolean> {
  const last = await lastOwner(folder);
  // Clocks of file systems run ahead by fractions.
  const age = Math.max(0, Date.now() - (last?.mtimeMs ?? (await stat(folder)).mtimeMs));
  return age >= ageMs && (last === undefined || (await isOver(last)));
}

/** One that is moved away while it is made, because its work is done, is made again. */
async function makeWorkplace(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await makeFolder(folder);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'ENOENT' && code !== 'EEXIST') || attempt === 10) throw error;
    }
  }
}

interface LastOwner {
  generation: number;
  /** Undefined where it cannot be read. */
  owner: Holder | undefined;
  mtimeMs: number;
}

async function lastOwner(folder: string): Promise<LastOwner | undefined> {
  const names = await readdir(folder).catch(ignoreMissing);
  const generations = generationsOf(names ?? []);
  if (generations.length === 0) return undefined;
  const generation = Math.max(...generations);
  const file = join(folder, ownerName(generation));
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
  const alive = await isAlive(last.owner);
  if (alive !== undefined) return !alive;
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
  const file = join(folder, ownerName(generation));
  const owner = { ...(await self()), id: randomUUID() };
  let handle: FileHandle;
  try {
    handle = await createWhole(folder, file, JSON.stringify(owner));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOENT') return undefined;
    throw error;
  }
  if (!(await isSuccessor(folder, generation))) {
    await handle.close();
    await rm(file, { force: true });
    return undefined;
  }
  const lost = new AbortController();
  const beat = async (): Promise<void> => {
    const now = new Date();
    await handle.utimes(now, now);
    const last = await lastOwner(folder);
    if (last?.owner?.id !== owner.id) {
      lost.abort(new ClaimLostError(`Another process took over ${folder}`));
    }
  };
  const heart = setInterval(() => void beat().catch(() => undefined), staleMs / 6);
  heart.unref();
  let released = false;
  return {
    folder,
    lost: lost.signal,
    async release() {
      if (released) return;
      released = true;
      clearInterval(heart);
      // By its handle: where the folder is done with and gone, a file of that name is somebody else's.
      const text = JSON.stringify({ ...owner, released: true });
      await handle.write(text, 0).catch(() => undefined);
      await handle.close().catch(() => undefined);
    },
  };
}

/** Creates the file with its content at once: whoever is killed half-way leaves no owner at all. */
async function createWhole(folder: string, file: string, content: string): Promise<FileHandle> {
  const draft = join(folder, DRAFT + randomUUID());
  let handle = await open(draft, 'wx');
  try {
    await handle.write(content, 0);
    await link(draft, file).catch(async (error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      // File systems without hard links: some network volumes.
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error;
      const exclusive = await open(file, 'wx');
      await handle.close();
      handle = exclusive;
      await handle.write(content, 0);
    });
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Whether our generation is the last and follows one that is still there. While we made up our mind
 * the folder may have been worked through and made anew, or the generation used and cleared away.
 */
async function isSuccessor(folder: string, generation: number): Promise<boolean> {
  const names = (await readdir(folder).catch(ignoreMissing)) ?? [];
  const all = generationsOf(names);
  if (Math.max(...all, 0) !== generation) return false;
  if (generation > 1 && !all.includes(generation - 1)) return false;
  // Whoever is about to link a draft finds it gone and looks again.
  const done = names.filter((name) => name.startsWith(DRAFT));
  for (const one of all) if (one < generation - 1) done.push(ownerName(one));
  await Promise.all(done.map((name) => rm(join(folder, name), { force: true })));
  return true;
}

function generationsOf(names: readonly string[]): number[] {
  return names.flatMap((name) => {
    const match = /^owner-(\d+)\.json$/.exec(name);
    return match ? [Number(match[1])] : [];
  });
}

async function isOver({ owner, mtimeMs }: LastOwner): Promise<boolean> {
  return owner?.released === true || (await isDead(owner, mtimeMs));
}

function parseOwner(text: string): Holder | undefined {
  try {
    const { machine, pid, started, id, released } = JSON.parse(text) as Partial<Holder>;
    if (typeof machine !== 'string' || typeof pid !== 'number' || !Number.isSafeInteger(pid)) {
      return undefined;
    }
    return { machine, pid, started: String(started), id: String(id), released: released === true };
  } catch {
    return undefined;
  }
}

function ownerName(generation: number): string {
  return `owner-${generation}.json`;
}
