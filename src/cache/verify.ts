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
    for (const snapshot of await snapshotsOf(root, repository, context.lacks)) {
      const result = await verifySnapshot(snapshot, signal);
      if (typeof place === 'string') {
        if (result.problem !== undefined) {
          reportCorrupt(context, repository, 'foreign', result.problem);
        }
        results.push({ tier: 'foreign', ...result });
        continue;
      }
      const outcome = result.problem
        ? await quarantine(context, place, repository, snapshot.commit, result.problem, signal)
        : 'left';
      if (outcome !== 'gone') {
        results.push({ tier: place.name, ...result, quarantined: outcome === 'quarantined' });
      }
      // The whole repository is out of sight.
      if (outcome === 'quarantined') break;
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
  let reading = 'the folder';
  try {
    for (const { path, size, digest } of await filesOf(folder)) {
      reading = path;
      if (digest === undefined) {
        result.unknown.push(path);
        continue;
      }
      const hex = await hashFile(join(folder, path), digest.algorithm, size, signal);
      if (hex !== digest.hex) {
        const problem = `${path} has the ${digest.algorithm} ${hex} instead of ${digest.hex}`;
        return { ...result, problem };
      }
      result.files += 1;
      result.bytes += size;
    }
  } catch (error) {
    signal?.throwIfAborted();
    return { ...result, problem: `${reading} cannot be read: ${messageOf(error)}` };
  }
  return { ...result, problem: undefined };
}

/**
 * Renames the repository, leased or not: open files stay readable, and nobody should open more. It is
 * kept for a day to be looked at, one for each repository. "gone": it was evicted or replaced while we
 * looked, which is what made it look corrupt; "left": it is in a tier that cannot be written.
 */
export async function quarantine(
  context: CacheContext,
  tier: Tier,
  repository: string,
  commit: string,
  reason: string,
  signal?: AbortSignal,
): Promise<'quarantined' | 'gone' | 'left'> {
  const folder = repositoryFolder(repository);
  const home = join(tier.path, folder);
  const isCorrupt = async (): Promise<boolean> => {
    const found = await findSnapshot(tier.path, repository, commit, context.lacks);
    return found !== undefined && (await verifySnapshot(found, signal)).problem !== undefined;
  };
  let outcome = 'gone' as 'quarantined' | 'gone';
  try {
    await whileUnused(tier, repository, true, async () => {
      if (!(await isCorrupt())) return;
      const prefix = `${CORRUPT}${folder}-`;
      for (const name of await readdir(tier.path)) {
        if (!name.startsWith(prefix) || !/^\d+$/.test(name.slice(prefix.length))) continue;
        await rm(join(tier.path, name), { recursive: true, force: true });
      }
      await rename(home, join(tier.path, `${prefix}${Date.now()}`));
      outcome = 'quarantined';
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (!(await isCorrupt().catch(() => false))) return 'gone';
    const full = `${reason} (and it cannot be taken away: ${messageOf(error)})`;
    if (!context.reported.has(`${home} ${full}`)) {
      context.reported.add(`${home} ${full}`);
      reportCorrupt(context, repository, tier.name, full);
    }
    return 'left';
  }
  if (outcome === 'quarantined') reportCorrupt(context, repository, tier.name, reason);
  return outcome;
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
