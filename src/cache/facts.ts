/** What a tier is like right now: measured, not assumed. */
import { constants } from 'node:fs';
import { access, lstat, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../lib/errors.js';
import { HEADROOM_BYTES } from '../storage/disk.js';
import { ignoreMissing } from '../storage/paths.js';
import { measuredSpeed, reservations, writeBallast } from './records.js';
import type { Tier } from './tier.js';

export interface TierFacts {
  tier: Tier;
  /** Why nothing can be put there, as far as looking can tell; undefined where it can. */
  unusable: string | undefined;
  exists: boolean;
  /** Number of the file system. */
  device: number;
  /** Bytes that the file system has free, less the headroom that is left to others. */
  freeBytes: number;
  /** Bytes that the tier's models and leftovers take. */
  usedBytes: number;
  /** Bytes promised to what is being written, and not written yet. */
  reservedBytes: number;
  /** Bytes per second, where transfers were recorded. */
  speed: number | undefined;
}

/** How long a file system may take to answer before it counts as gone. */
const ANSWER_MS = 20_000;
/** How long one that did not is left alone. */
const SILENCE_MS = 10 * 60_000;

/** Looks at a tier; writes nothing. Never rejects: what goes wrong is why it is unusable. */
export async function measure(tier: Tier): Promise<TierFacts> {
  const facts: TierFacts = {
    ...{ tier, unusable: undefined, exists: false, device: -1, speed: undefined },
    ...{ freeBytes: 0, usedBytes: 0, reservedBytes: 0 },
  };
  try {
    if (isSilent(tier)) throw new Error('it did not answer lately');
    facts.unusable = await answered(tier, () => whyAbsent(tier));
    if (facts.unusable !== undefined) return facts;
    const base = await answered(tier, () => nearestFolder(tier.path));
    facts.exists = base === tier.path;
    const { bavail, bsize } = await answered(tier, () => statfs(base));
    facts.device = (await stat(base)).dev;
    facts.freeBytes = Math.max(0, bavail * bsize - HEADROOM_BYTES);
    if (facts.exists) {
      facts.usedBytes = await usedBytes(tier);
      facts.reservedBytes = await reservedBytes(tier);
      facts.speed = await measuredSpeed(tier);
    }
    await access(base, constants.W_OK).catch(() => {
      facts.unusable = facts.exists ? 'it cannot be written' : 'it cannot be made';
    });
  } catch (error) {
    facts.unusable = messageOf(error);
  }
  return facts;
}

/** All tiers; those on one disk agree on what it has free. */
export async function survey(tiers: readonly Tier[]): Promise<TierFacts[]> {
  const all = await Promise.all(tiers.map(measure));
  return all.map((facts) => {
    const shared = all.filter(({ device }) => device === facts.device);
    return { ...facts, freeBytes: Math.min(...shared.map(({ freeBytes }) => freeBytes)) };
  });
}

/** Makes the tier's folder and writes to it. Returns why that failed, or undefined. */
export async function probe(tier: Tier): Promise<string | undefined> {
  try {
    const absent = await answered(tier, () => whyAbsent(tier));
    if (absent !== undefined) return absent;
    await answered(tier, () => writeBallast(tier));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function whyAbsent(tier: Tier): Promise<string | undefined> {
  const { mount, checkOwner, path } = tier;
  if (mount !== undefined) {
    const there = await stat(mount).catch(ignoreMissing);
    if (there === undefined) return 'it is not there';
    if (there.dev === (await stat(dirname(mount))).dev) return `${mount} is not mounted`;
  }
  if (checkOwner === true) {
    const status = await lstat(path).catch(ignoreMissing);
    const ours = [0, process.geteuid?.() ?? 0];
    if (status && (!ours.includes(status.uid) || (status.mode & 0o022) !== 0)) {
      return 'others can write there';
    }
  }
  const status = await stat(path).catch(ignoreMissing);
  return status && !status.isDirectory() ? 'it is not a folder' : undefined;
}

/** Bytes that a tier's models, and what is left of others, take on the disk. */
export async function usedBytes(tier: Tier): Promise<number> {
  let sum = 0;
  for (const name of await readdir(tier.path).catch(() => [])) {
    // Other things may lie in /tmp/cache and the like: those are not ours to count.
    if (/^(models--|\.(incomplete|trash|corrupt)-)/.test(name)) {
      sum += (await diskUsage(join(tier.path, name))).bytes;
    }
  }
  return sum;
}

async function reservedBytes(tier: Tier): Promise<number> {
  let sum = 0;
  for (const { staging, bytes } of await reservations(tier)) {
    sum += Math.max(0, bytes - (await diskUsage(staging)).bytes);
  }
  return sum;
}

/** Bytes on the disk below a path, and how many of them deleting it would give back. */
export async function diskUsage(path: string): Promise<{ bytes: number; unique: number }> {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return { bytes: 0, unique: 0 };
  // st_blocks is in units of 512 bytes whatever the file system's own (stat(2)).
  const own = status.blocks * 512;
  if (!status.isDirectory()) return { bytes: own, unique: status.nlink > 1 ? 0 : own };
  const sum = { bytes: own, unique: own };
  for (const name of await readdir(path).catch(() => [])) {
    const below = await diskUsage(join(path, name));
    sum.bytes += below.bytes;
    sum.unique += below.unique;
  }
  return sum;
}

/** The folder itself, or the first above it that exists. */
async function nearestFolder(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const status = await stat(at).catch(ignoreMissing);
    if (status !== undefined || dirname(at) === at) return at;
  }
}

/**
 * What `look` finds, if the tier answers in time. A network volume whose server is gone never does,
 * and each call to it takes a thread away for good: such a tier is left alone for a while.
 */
export async function answered<T>(tier: Tier, look: () => Promise<T>): Promise<T> {
  const limit = tier.answerMs ?? ANSWER_MS;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      silentUntil.set(tier, Date.now() + SILENCE_MS);
      reject(new Error(`it did not answer within ${limit / 1000} s`));
    }, limit);
  });
  try {
    return await Promise.race([look(), late]);
  } finally {
    clearTimeout(timer);
  }
}

const silentUntil = new WeakMap<Tier, number>();

/** Whether the tier did not answer lately. */
export function isSilent(tier: Tier): boolean {
  return (silentUntil.get(tier) ?? 0) > Date.now();
}
