/** Whether models are what they were when they were published, and what becomes of those that are not. */
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errors.js';
import type { CacheContext } from './context.js';
import { CORRUPT } from './evict.js';
import { findSnapshot, repositoryFolder, snapshotsOf, type FoundSnapshot } from './layout.js';
import { filesOf, hashFile } from './manifest.js';
import { whileUnused } from './records.js';
import type { Tier, TierName } from './tier.js';

export interface VerifiedSnapshot {
  tier: TierName | 'foreign';
  folder: string;
  /** Files and bytes that have their digest. */
  files: number;
  bytes: number;
  /** Files of which nothing says what they should be: from tools that keep no record. */
  unknown: string[];
  /** What is wrong with it; undefined where nothing is. */
  problem: string | undefined;
  /** Whether it was taken out of sight, so that it is fetched again. */
  quarantined: boolean;
}

/** Reads every byte of a repository in every cache. What is corrupt in a tier is quarantined. */
export async function verifyRepository(
  context: CacheContext,
  repository: string,
  signal?: AbortSignal,
): Promise<VerifiedSnapshot[]> {
  const results: VerifiedSnapshot[] = [];
  for (const place of [...context.tiers, ...context.foreign]) {
    const root = typeof place === 'string' ? place : place.path;
    for (const snapshot of await snapshotsOf(root, repository)) {
      const result = await verifySnapshot(snapshot, signal);
      const bad = result.problem;
      if (bad === undefined) {
        results.push({ tier: typeof place === 'string' ? 'foreign' : place.name, ...result });
      } else if (typeof place === 'string') {
        reportCorrupt(context, repository, 'foreign', bad);
        results.push({ tier: 'foreign', ...result });
      } else {
        const still = async (): Promise<boolean> =>
          (await verifySnapshot(snapshot, signal)).problem !== undefined;
        const quarantined = await quarantine(context, place, repository, bad, still);
        results.push({ tier: place.name, ...result, quarantined });
        // The whole repository is out of sight.
        if (quarantined) break;
      }
    }
  }
  return results;
}

async function verifySnapshot(
  snapshot: FoundSnapshot,
  signal?: AbortSignal,
): Promise<Omit<VerifiedSnapshot, 'tier'>> {
  const { folder, problem } = snapshot;
  const result = { folder, files: 0, bytes: 0, unknown: [] as string[], quarantined: false };
  if (problem !== undefined) return { ...result, problem };
  for (const { path, size, digest } of await filesOf(folder)) {
    if (digest === undefined) {
      result.unknown.push(path);
      continue;
    }
    let hex: string;
    try {
      hex = await hashFile(join(folder, path), digest.algorithm, size, signal);
    } catch (error) {
      signal?.throwIfAborted();
      return { ...result, problem: `${path} cannot be read: ${messageOf(error)}` };
    }
    if (hex !== digest.hex) {
      return {
        ...result,
        problem: `${path} has the ${digest.algorithm} ${hex} instead of ${digest.hex}`,
      };
    }
    result.files += 1;
    result.bytes += size;
  }
  return { ...result, problem: undefined };
}

/** Whether a snapshot that was found to be of the wrong size was taken out of sight. */
export async function quarantineFound(
  context: CacheContext,
  tier: Tier,
  repository: string,
  found: FoundSnapshot,
): Promise<boolean> {
  const still = async (): Promise<boolean> =>
    (await findSnapshot(tier.path, repository, found.commit))?.problem !== undefined;
  return quarantine(context, tier, repository, found.problem ?? 'it is corrupt', still);
}

/**
 * Renames the repository, leased or not: open files stay readable, and nobody should open more. It is
 * kept for a day to be looked at, one for each repository.
 */
async function quarantine(
  context: CacheContext,
  tier: Tier,
  repository: string,
  reason: string,
  isCorrupt: () => Promise<boolean>,
): Promise<boolean> {
  const folder = repositoryFolder(repository);
  const home = join(tier.path, folder);
  let done = false;
  let failure: string | undefined;
  try {
    await whileUnused(tier, repository, true, async () => {
      // It may have been replaced since.
      if (!(await isCorrupt().catch(() => true))) return;
      const prefix = `${CORRUPT}${folder}-`;
      for (const name of await readdir(tier.path)) {
        if (!name.startsWith(prefix) || !/^\d+$/.test(name.slice(prefix.length))) continue;
        await rm(join(tier.path, name), { recursive: true, force: true });
      }
      await rename(home, join(tier.path, `${prefix}${Date.now()}`));
      done = true;
    });
  } catch (error) {
    failure = messageOf(error);
  }
  if (done) reportCorrupt(context, repository, tier.name, reason);
  // Otherwise somebody else is at it, unless the tier is read-only.
  else if (failure !== undefined) {
    const full = `${reason} (and it cannot be taken away: ${failure})`;
    if (!context.reported.has(`${home} ${full}`)) {
      context.reported.add(`${home} ${full}`);
      reportCorrupt(context, repository, tier.name, full);
    }
  }
  return done;
}

function reportCorrupt(
  context: CacheContext,
  repository: string,
  tier: TierName | 'foreign',
  reason: string,
): void {
  context.log?.warn(`${repository} in ${tier} is corrupt: ${reason}`);
  context.emit({ type: 'corrupt', repository, tier, reason });
}
