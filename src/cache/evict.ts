/** Taking models away: on purpose, or the one used longest ago when room is wanted. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errors.js';
import { formatBytes } from '../storage/disk.js';
import { removeFolder, removeLeftovers } from '../storage/publish.js';
import type { CacheContext } from './context.js';
import { diskUsage, usedBytes, type TierFacts } from './facts.js';
import { isStored, repositoriesIn, repositoryFolder } from './layout.js';
import { forgetUse, hasPin, lastUsed, leaseCount, stagingFolder, whileUnused } from './records.js';
import type { Tier } from './tier.js';

export const CORRUPT = '.corrupt-';

export interface StoredModel {
  tier: Tier;
  repository: string;
  bytes: number;
  /** Bytes of the file system that come free with it: others may share its files by hard links. */
  unique: number;
  lastUsed: number;
  /** Held by living processes. */
  leases: number;
  pinned: boolean;
  /** A better tier has it, too. */
  spare: boolean;
}

export async function storedModels(context: CacheContext, tier: Tier): Promise<StoredModel[]> {
  const models: StoredModel[] = [];
  for (const repository of await repositoriesIn(tier.path)) {
    const home = join(tier.path, repositoryFolder(repository));
    const { bytes, unique } = await diskUsage(home);
    const published = await stat(join(home, 'snapshots')).catch(() => undefined);
    models.push({
      ...{ tier, repository, bytes, unique },
      lastUsed: Math.max(await lastUsed(tier, repository), published?.mtimeMs ?? 0),
      leases: await leaseCount(tier, repository),
      pinned: await isPinned(context, repository),
      spare: await isInBetterTier(context, tier, repository),
    });
  }
  return models;
}

async function isPinned(context: CacheContext, repository: string): Promise<boolean> {
  if (context.kept.has(repository)) return true;
  for (const tier of context.tiers) if (await hasPin(tier, repository)) return true;
  return false;
}

async function isInBetterTier(
  { tiers, lacks }: CacheContext,
  tier: Tier,
  repository: string,
): Promise<boolean> {
  for (const better of tiers) {
    if (better === tier) return false;
    if (!better.persistent && tier.persistent) continue;
    if (await isStored(better.path, repository, lacks).catch(() => false)) return true;
  }
  return false;
}

/** What may go, first what is missed least. `keep` is on its way in. */
export async function evictable(
  context: CacheContext,
  tier: Tier,
  keep: readonly string[] = [],
): Promise<StoredModel[]> {
  const models = await storedModels(context, tier);
  return models
    .filter(({ repository, leases }) => leases === 0 && !keep.includes(repository))
    .filter(({ pinned, spare }) => !pinned || spare)
    .sort((a, b) => Number(b.spare) - Number(a.spare) || a.lastUsed - b.lastUsed);
}

/** Takes a model out of a tier: out of sight at once, then deleted. */
export async function removeModel(
  tier: Tier,
  repository: string,
  forced = false,
): Promise<'done' | 'leased' | 'busy'> {
  return whileUnused(tier, repository, forced, async () => {
    await removeFolder(join(tier.path, repositoryFolder(repository)));
    await forgetUse(tier, repository);
  });
}

/** Evicts the best candidate that can be. False where none could. */
export async function evictOne(
  context: CacheContext,
  tier: Tier,
  keep: readonly string[] = [],
): Promise<StoredModel | undefined> {
  for (const model of await evictable(context, tier, keep)) {
    if (await evict(context, model)) return model;
  }
  return undefined;
}

async function evict(context: CacheContext, model: StoredModel): Promise<boolean> {
  const { tier, repository, bytes } = model;
  try {
    if ((await removeModel(tier, repository)) !== 'done') return false;
  } catch (error) {
    context.log?.warn(`${repository} could not be evicted from ${tier.path}: ${messageOf(error)}`);
    return false;
  }
  context.log?.info(`Evicted ${repository} from ${tier.name} (${formatBytes(bytes)})`);
  context.emit({ type: 'evicted', repository, tier: tier.name, bytes });
  return true;
}

/** Deletes quarantined models that are older than `ageMs`. */
export async function removeQuarantine(tier: Tier, ageMs: number): Promise<void> {
  for (const name of await readdir(tier.path).catch(() => [])) {
    const time = Number(/^\.corrupt-.*-(\d+)$/.exec(name)?.[1] ?? NaN);
    if (Date.now() - time < ageMs || Number.isNaN(time)) continue;
    await rm(join(tier.path, name), { recursive: true, force: true });
  }
}

/** Bytes that evicting all that may go would give: to the file system, and to the quota. */
export async function reclaimable(
  context: CacheContext,
  tier: Tier,
  keep: string,
): Promise<{ unique: number; bytes: number }> {
  const sum = { unique: 0, bytes: 0 };
  for (const model of await evictable(context, tier, [keep])) {
    sum.unique += model.unique;
    sum.bytes += model.bytes;
  }
  return sum;
}

/** Trash, quarantine and what dead processes left half done, except for the model on its way in. */
export async function clearLeftovers(tier: Tier, keep: string): Promise<void> {
  await removeLeftovers(tier.path, 0, [stagingFolder(tier, keep)]);
  await removeQuarantine(tier, 0);
}

/** What a tier's models could take at most: what they have, what is free, within the quota. */
export function capacity({ tier, usedBytes: used, freeBytes }: TierFacts): number {
  return Math.min(tier.limit ?? Infinity, used + freeBytes);
}

/** Evicts down to the low watermark where the high one is passed. */
export async function trim(
  context: CacheContext,
  facts: TierFacts,
  keep: readonly string[] = [],
): Promise<void> {
  const { tier } = facts;
  const size = capacity(facts);
  if (facts.usedBytes <= context.watermarks.high * size) return;
  const target = context.watermarks.low * size;
  while ((await usedBytes(tier)) > target) {
    if ((await evictOne(context, tier, keep)) === undefined) return;
  }
}
