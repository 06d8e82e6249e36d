/** Where a model goes: the best tier that has, or can be given, room for it. */
import { ModelError } from '../../lib/errors.js';
import { claimFolder, type Claim } from '../storage/claim.js';
import { formatBytes, HEADROOM_BYTES } from '../storage/disk.js';
import type { CacheContext } from './context.js';
import { clearLeftovers, evictOne, reclaimable } from './evict.js';
import { diskUsage, measure, probe, survey, type TierFacts } from './facts.js';
import type { Hold } from './hold.js';
import { reserve, stagingFolder, statePath, withBallast } from './records.js';
import type { Tier } from './tier.js';

export interface PlaceRequest {
  /** The model as messages name it, and the repository its files go to. */
  name: string;
  repository: string;
  /** Bytes that are to be written into a tier, beyond what of the model lies there already. */
  need: (tier: Tier) => Promise<number>;
  /** Default all. */
  among?: readonly Tier[];
  /** Whether models may be evicted for it. Default true. */
  evict?: boolean;
  /** Tiers that failed for this model already, and how. */
  failed?: ReadonlyMap<Tier, string>;
  signal: AbortSignal;
}

/** A tier with room that nobody else counts on, until it is released. */
export interface Placement {
  tier: Tier;
  bytes: number;
  release(): Promise<void>;
}

/** A disk that is slower than this is no good to keep a model on if there is another. */
const SLOW_BYTES_PER_SECOND = 5e6;

/** The first tier that can be written; undefined where none can. */
export async function homeTier(tiers: readonly Tier[]): Promise<Tier | undefined> {
  for (const tier of tiers) if ((await probe(tier)) === undefined) return tier;
  return undefined;
}

/** @throws ModelError DOWNLOAD_FAILED, saying why each tier cannot be written */
export async function requireHome(context: CacheContext, name: string): Promise<Tier> {
  return (await homeTier(context.tiers)) ?? refuse(context, { name }, []);
}

/**
 * Decides and reserves. One decision is taken at a time, in this process and beside others that share
 * the best tier, so no two count the same bytes: each sees what those before it reserved. Reserving
 * is a small file rather than preallocated blocks, because Node cannot fallocate, and because blocks
 * of a download that stops would be lost to everybody until it goes on.
 * @throws ModelError DISK_FULL, or DOWNLOAD_FAILED where no tier can be written at all
 */
export async function place(context: CacheContext, request: PlaceRequest): Promise<Placement> {
  const home = await requireHome(context, request.name);
  const deciding = await decide(home, request.signal);
  try {
    return await choose(context, request);
  } finally {
    await deciding.release();
  }
}

async function decide(home: Tier, signal: AbortSignal): Promise<Claim> {
  const done = (): Promise<boolean> => Promise.resolve(false);
  const options = { signal, done, pollMs: 20 };
  const claim = await withBallast(home, () => claimFolder(statePath(home, 'placing'), options));
  if (claim === undefined) throw new Error('a claim that is never done was given up');
  return claim;
}

async function choose(context: CacheContext, request: PlaceRequest): Promise<Placement> {
  const { among = context.tiers, failed, repository, name } = request;
  const all = await survey(context.tiers);
  const passedOver: PassedOver[] = [];
  for (const facts of inOrder(all.filter(({ tier }) => among.includes(tier)))) {
    const { tier } = facts;
    const reason = failed?.get(tier) ?? facts.unusable ?? (await probe(tier));
    if (reason !== undefined) {
      passedOver.push({ tier, reason, full: failed?.has(tier) ?? false });
      continue;
    }
    const bytes = await request.need(tier);
    const lack = await whyNoRoom(context, request, tier, bytes);
    if (lack !== undefined) {
      passedOver.push({ tier, reason: lack, full: true });
      continue;
    }
    const staged = (await diskUsage(stagingFolder(tier, repository))).bytes;
    const held: Hold = await reserve(tier, repository, bytes + staged);
    const others = passedOver.map((one) => `; ${one.tier.name} passed over: ${one.reason}`);
    context.log?.info(
      `${name}: ${formatBytes(bytes)} go to ${tier.name} (${tier.path})${others.join('')}`,
    );
    return { tier, bytes, release: () => held.release() };
  }
  return refuse(context, request, passedOver);
}

/**
 * Tiers that last come first; among the others the one with most room, those on one disk in the order
 * given. A disk known to be slow comes last.
 */
function inOrder(all: readonly TierFacts[]): TierFacts[] {
  const room = (facts: TierFacts): number => (facts.tier.persistent ? 0 : available(facts, all));
  const isSlow = ({ speed }: TierFacts): number =>
    speed !== undefined && speed < SLOW_BYTES_PER_SECOND ? 1 : 0;
  return [...all].sort(
    (a, b) =>
      isSlow(a) - isSlow(b) ||
      Number(b.tier.persistent) - Number(a.tier.persistent) ||
      room(b) - room(a),
  );
}

/** Bytes that may still be written into a tier, once `gain` is evicted from it. */
export function available(
  facts: TierFacts,
  all: readonly TierFacts[],
  gain = { unique: 0, bytes: 0 },
): number {
  const { tier, device, freeBytes, usedBytes, reservedBytes } = facts;
  // Tiers on one disk share its free bytes, and what was promised of them.
  const promised = all
    .filter((other) => other.device === device)
    .reduce((sum, other) => sum + other.reservedBytes, 0);
  const ofDisk = freeBytes + gain.unique - promised;
  const ofQuota = (tier.limit ?? Infinity) - usedBytes + gain.bytes - reservedBytes;
  return Math.max(0, Math.min(ofDisk, ofQuota));
}

/** Makes room where there is none. Says why that cannot be, or undefined. */
async function whyNoRoom(
  context: CacheContext,
  request: PlaceRequest,
  tier: Tier,
  bytes: number,
): Promise<string | undefined> {
  if (tier.limit !== undefined && bytes > tier.limit) {
    return `it may hold ${formatBytes(tier.limit)}, and ${formatBytes(bytes)} are needed`;
  }
  const room = async (gain = { unique: 0, bytes: 0 }): Promise<number> => {
    const all = await survey(context.tiers);
    const own = all.find((facts) => facts.tier === tier);
    return own === undefined ? 0 : available(own, all, gain);
  };
  const lack = async (): Promise<string> =>
    `${formatBytes(await room())} free of ${formatBytes(bytes)} needed (${formatBytes(HEADROOM_BYTES)} are left to others)`;
  if ((await room()) >= bytes) return undefined;
  if (request.evict === false) return lack();
  await clearLeftovers(tier, request.repository);
  // No model is evicted in vain.
  const gain = await reclaimable(context, tier, request.repository);
  if ((await room(gain)) < bytes) return `${await lack()}, and evicting is not enough`;
  while ((await room()) < bytes) {
    const evicted = await evictOne(context, tier, [request.repository]);
    if (evicted === undefined) return `${await lack()}, and nothing can be evicted`;
  }
  return undefined;
}

interface PassedOver {
  tier: Tier;
  reason: string;
  /** It would have done, had it had room. */
  full: boolean;
}

async function refuse(
  context: CacheContext,
  request: Pick<PlaceRequest, 'name' | 'among'>,
  passedOver: readonly PassedOver[],
): Promise<never> {
  const reasons: string[] = [];
  for (const tier of request.among ?? context.tiers) {
    const known = passedOver.find((one) => one.tier === tier)?.reason;
    const reason = known ?? (await measure(tier)).unusable ?? (await probe(tier)) ?? 'no room';
    reasons.push(`\n  ${tier.name} (${tier.path}): ${reason}`);
  }
  const full = passedOver.some((one) => one.full);
  throw new ModelError(
    full ? 'DISK_FULL' : 'DOWNLOAD_FAILED',
    `${request.name} cannot be kept in any tier of the cache:${reasons.join('')}\n` +
      (full
        ? 'Free some space, raise a limit, or set VOXPOD_CACHE to a folder on a larger disk.'
        : 'Set VOXPOD_CACHE to a folder that can be written.'),
  );
}
