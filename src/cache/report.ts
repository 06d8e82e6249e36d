/** What people are shown of the cache: the models in it, and its tiers. */
import type { CacheContext } from './context.js';
import { capacity, storedModels } from './evict.js';
import { survey } from './facts.js';
import { isStored, repositoriesIn, snapshotsOf } from './layout.js';
import { available } from './place.js';
import type { Tier, TierName } from './tier.js';

/** A model as `list` shows it. */
export interface ListedModel {
  repository: string;
  tier: TierName | 'foreign';
  /** Commits that are there whole, and their folders. */
  snapshots: { commit: string; folder: string; problem?: string }[];
  bytes: number;
  /** Milliseconds since 1970; 0 where it is not known. */
  lastUsed: number;
  /** Living processes that use it. */
  leases: number;
  pinned: boolean;
}

/** A tier as `status` shows it. */
export interface TierStatus {
  name: TierName;
  path: string;
  persistent: boolean;
  exists: boolean;
  /** Why it cannot be used, if it cannot. */
  problem?: string;
  limitBytes?: number;
  /** Of models, and of what is left of others. */
  usedBytes: number;
  /** Of the file system, less the headroom that is left to others. */
  freeBytes: number;
  reservedBytes: number;
  /** What another model may take without an eviction. */
  availableBytes: number;
  /** What its models could take at most; eviction starts at highBytes and ends at lowBytes. */
  capacityBytes: number;
  highBytes: number;
  lowBytes: number;
  models: number;
  writeBytesPerSecond?: number;
}

export async function listModels(context: CacheContext): Promise<ListedModel[]> {
  const listed: ListedModel[] = [];
  for (const tier of context.tiers) {
    for (const model of await storedModels(context, tier).catch(() => [])) {
      const { repository, bytes, lastUsed, leases, pinned } = model;
      const snapshots = await listSnapshots(context, tier.path, repository);
      listed.push({ repository, tier: tier.name, snapshots, bytes, lastUsed, leases, pinned });
    }
  }
  for (const root of context.foreign) {
    for (const repository of await repositoriesIn(root).catch(() => [])) {
      if (!(await isStored(root, repository, context.lacks).catch(() => false))) continue;
      const snapshots = await listSnapshots(context, root, repository);
      const unknown = { bytes: 0, lastUsed: 0, leases: 0, pinned: false };
      listed.push({ repository, tier: 'foreign', snapshots, ...unknown });
    }
  }
  return listed;
}

async function listSnapshots(
  { lacks }: CacheContext,
  root: string,
  repository: string,
): Promise<ListedModel['snapshots']> {
  const snapshots = await snapshotsOf(root, repository, lacks).catch(() => []);
  return snapshots.map(({ commit, folder, problem }) => ({
    ...{ commit, folder },
    ...(problem === undefined ? {} : { problem }),
  }));
}

/** All tiers, those that do not answer among them. */
export async function statusOf(
  { watermarks }: CacheContext,
  tiers: readonly Tier[],
): Promise<TierStatus[]> {
  const all = await survey(tiers);
  return Promise.all(
    all.map(async (facts) => {
      const { tier, exists, unusable, usedBytes, freeBytes, reservedBytes, speed } = facts;
      const size = capacity(facts);
      const models = exists ? await repositoriesIn(tier.path).catch(() => []) : [];
      return {
        ...{ name: tier.name, path: tier.path, persistent: tier.persistent, exists },
        ...(unusable === undefined ? {} : { problem: unusable }),
        ...(tier.limit === undefined ? {} : { limitBytes: tier.limit }),
        ...{ usedBytes, freeBytes, reservedBytes, availableBytes: available(facts, all) },
        ...{ capacityBytes: size },
        ...{ highBytes: watermarks.high * size, lowBytes: watermarks.low * size },
        models: models.length,
        ...(speed === undefined ? {} : { writeBytesPerSecond: speed }),
      };
    }),
  );
}
