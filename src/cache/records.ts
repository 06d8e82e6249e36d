/**
 * What the cache knows about a tier beside the models, in small files of `.voxpod` in its root:
 *   leases/<model>/*        models that living processes use
 *   reservations/<model>/*  space that is about to be written
 *   used/<model>            touched when a model was asked for: access times cannot be relied on
 *   pins/<model>            models that are never evicted
 *   fetching/<model>        claims: who fetches or migrates a model, into whichever tier
 *   placing                 claim: who decides where something goes
 *   speed.json              what was measured of the tier's disk
 *   ballast                 given up where a full disk leaves no block for the files above
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { claimFolder, tryClaimFolder, type Claim, type ClaimOptions } from '../storage/claim.js';
import { exists, makeFolder } from '../storage/paths.js';
import { isDiskFull } from '../storage/disk.js';
import { incompleteFolder, removeFolder } from '../storage/publish.js';
import { hold, liveHolds, type Hold } from './hold.js';
import { repositoryFolder } from './layout.js';
import type { Tier } from './tier.js';

export function statePath(tier: Tier, ...names: string[]): string {
  return join(tier.path, '.voxpod', ...names);
}

function record(tier: Tier, kind: string, repository: string): string {
  return statePath(tier, kind, repositoryFolder(repository));
}

/* Staging: where a model's files are put together in a tier, by one process at a time. */

const REMOVING = 'removing';

export function stagingFolder(tier: Tier, repository: string): string {
  return incompleteFolder(tier.path, repositoryFolder(repository));
}

/** Waits for the staging folder of a model. */
export async function claimStaging(
  tier: Tier,
  repository: string,
  signal: AbortSignal,
): Promise<Claim> {
  const folder = stagingFolder(tier, repository);
  const done = (): Promise<boolean> => Promise.resolve(false);
  const claim = await claimFolder(folder, { signal, done, pollMs: 50 });
  if (claim === undefined) throw new Error('a claim that is never done was given up');
  // Left by one who died while it removed the model.
  await rm(join(folder, REMOVING), { force: true });
  return claim;
}

/** Takes the folder away where nothing of worth is left in it, and lets go of it. */
export async function leaveStaging(claim: Claim): Promise<void> {
  if (!claim.lost.aborted) {
    const names = await readdir(claim.folder).catch(() => []);
    if (names.every((name) => /^(owner|draft)-/.test(name))) {
      await removeFolder(claim.folder).catch(() => undefined);
    }
  }
  await claim.release();
}

/** Who fetches or migrates a model, into whichever tier; undefined as soon as `done` says so. */
export function claimFetching(
  home: Tier,
  repository: string,
  options: ClaimOptions,
): Promise<Claim | undefined> {
  return withBallast(home, () => claimFolder(record(home, 'fetching', repository), options));
}

/**
 * Runs `remove` where nobody works on the model in this tier and, unless forced, nobody has a lease.
 *
 * Whoever leases writes the lease, then looks for the mark; whoever removes writes the mark, then looks
 * for leases. So at least one of the two sees the other, and gives way or waits.
 */
export async function whileUnused(
  tier: Tier,
  repository: string,
  forced: boolean,
  remove: () => Promise<void>,
): Promise<'done' | 'leased' | 'busy'> {
  const folder = stagingFolder(tier, repository);
  const claim = await withBallast(tier, () => tryClaimFolder(folder));
  if (claim === undefined) return 'busy';
  const mark = join(folder, REMOVING);
  try {
    await (await open(mark, 'w')).close();
    if (!forced && (await leaseCount(tier, repository)) > 0) return 'leased';
    await remove();
    return 'done';
  } finally {
    await rm(mark, { force: true });
    await leaveStaging(claim);
  }
}

async function untilNotRemoving(tier: Tier, repository: string): Promise<void> {
  const folder = stagingFolder(tier, repository);
  const mark = join(folder, REMOVING);
  const done = (): Promise<boolean> => exists(mark).then((there) => !there);
  const claim = await claimFolder(folder, { done, pollMs: 10 });
  if (claim === undefined) return;
  // Its owner died.
  await rm(mark, { force: true });
  await leaveStaging(claim);
}

/* Leases. */

export async function leaseCount(tier: Tier, repository: string): Promise<number> {
  return (await liveHolds(record(tier, 'leases', repository))).length;
}

/** Keeps a model from eviction; undefined where it is gone by now. */
export async function leaseModel(
  tier: Tier,
  repository: string,
  isThere: () => Promise<boolean>,
): Promise<Hold | undefined> {
  let held: Hold;
  try {
    held = await withBallast(tier, () => hold(record(tier, 'leases', repository)));
  } catch {
    // A read-only volume: nobody evicts from it on this machine either.
    held = { release: () => Promise.resolve() };
  }
  await untilNotRemoving(tier, repository);
  if (await isThere()) return held;
  await held.release();
  return undefined;
}

/* Reservations. */

/** `bytes` is what the model's staging folder will hold in the end. */
export function reserve(tier: Tier, repository: string, bytes: number): Promise<Hold> {
  return hold(record(tier, 'reservations', repository), bytes);
}

/** What is promised to each model of a tier, in bytes, by the staging folder it goes to. */
export async function reservations(tier: Tier): Promise<{ staging: string; bytes: number }[]> {
  const folder = statePath(tier, 'reservations');
  const found: { staging: string; bytes: number }[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const bytes = (await liveHolds(join(folder, name))).reduce((sum, one) => sum + one, 0);
    if (bytes > 0) found.push({ staging: incompleteFolder(tier.path, name), bytes });
  }
  return found;
}

/* Use and pins. */

export async function touchUsed(tier: Tier, repository: string): Promise<void> {
  const file = record(tier, 'used', repository);
  const now = new Date();
  try {
    await utimes(file, now, now).catch(async () => touch(file));
  } catch {
    // Read-only or full: then there is nothing to evict, or something else goes first.
  }
}

/** Milliseconds since 1970 of the last use, 0 where none is recorded. */
export async function lastUsed(tier: Tier, repository: string): Promise<number> {
  const status = await stat(record(tier, 'used', repository)).catch(() => undefined);
  return status?.mtimeMs ?? 0;
}

export async function forgetUse(tier: Tier, repository: string): Promise<void> {
  await rm(record(tier, 'used', repository), { force: true });
}

export async function setPin(tier: Tier, repository: string): Promise<void> {
  await touch(record(tier, 'pins', repository));
}

export async function removePin(tier: Tier, repository: string): Promise<void> {
  await rm(record(tier, 'pins', repository), { force: true });
}

export function hasPin(tier: Tier, repository: string): Promise<boolean> {
  return exists(record(tier, 'pins', repository));
}

async function touch(file: string): Promise<void> {
  await mkdir(join(file, '..'), { recursive: true });
  await (await open(file, 'a')).close();
}

/* Speed. */

const speedSchema = z.object({ writeBytesPerSecond: z.number().positive() });

/** Bytes per second that writing there was measured at; undefined where it never was. */
export async function measuredSpeed(tier: Tier): Promise<number | undefined> {
  const text = await readFile(statePath(tier, 'speed.json'), 'utf8').catch(() => '');
  try {
    return speedSchema.parse(JSON.parse(text)).writeBytesPerSecond;
  } catch {
    return undefined;
  }
}

/** Takes a transfer into account; one that is too short to tell anything is not. */
export async function recordSpeed(tier: Tier, bytes: number, seconds: number): Promise<void> {
  if (bytes < 16e6 || seconds <= 0) return;
  const before = await measuredSpeed(tier);
  const now = bytes / seconds;
  const writeBytesPerSecond = before === undefined ? now : (before + now) / 2;
  const text = JSON.stringify({ writeBytesPerSecond });
  // Half a file is read as none.
  await writeFile(statePath(tier, 'speed.json'), text).catch(() => undefined);
}

/* Ballast. */

const BALLAST_BYTES = 256 * 1024;

/**
 * Writes to the tier to see whether that can be done. What is written takes the space that an eviction
 * will need for its few small files when the disk is full.
 */
export async function writeBallast(tier: Tier): Promise<void> {
  await makeFolder(statePath(tier));
  // One file for all: nothing is left behind by whoever is killed here.
  const flags = constants.O_RDWR | constants.O_CREAT;
  const handle = await open(statePath(tier, 'ballast'), flags);
  try {
    const whole = (await handle.stat()).size >= BALLAST_BYTES;
    const bytes = Buffer.alloc(whole ? 4096 : BALLAST_BYTES, 1);
    await handle.write(bytes, 0, bytes.length, 0);
    // Some volumes take every write and fail when it is to last.
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Runs `write`, again without the ballast where the disk is full. */
export async function withBallast<T>(tier: Tier, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    await rm(statePath(tier, 'ballast'), { force: true });
    return write();
  }
}
