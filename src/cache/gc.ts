/** Clears away what processes that died left behind, and what passes the watermarks. */
import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errors.js';
import { tryClaimFolder } from '../storage/claim.js';
import { INCOMPLETE, removeFolder, removeLeftovers, TRASH } from '../storage/publish.js';
import type { CacheContext } from './context.js';
import { removeQuarantine, trim } from './evict.js';
import { measure, usedBytes } from './facts.js';
import { liveHolds } from './hold.js';
import { orphanedBlobs, repositoriesIn, repositoryFolder, repositoryOf } from './layout.js';
import { leaveStaging, statePath, whileUnused } from './records.js';
import type { Tier, TierName } from './tier.js';

export interface GcOptions {
  /** Half a download that nobody works on is kept this long for one to go on from. Default 0. */
  leftoverAgeMs?: number;
  /** Default a day. */
  quarantineAgeMs?: number;
}

export interface GcReport {
  freedBytes: number;
  tiers: { tier: TierName; freedBytes: number; problem?: string }[];
}

export const DAY_MS = 24 * 3600_000;

export async function collectGarbage(
  context: CacheContext,
  options: GcOptions = {},
): Promise<GcReport> {
  const { leftoverAgeMs = 0, quarantineAgeMs = DAY_MS } = options;
  const report: GcReport = { freedBytes: 0, tiers: [] };
  for (const tier of context.tiers) {
    const facts = await measure(tier);
    if (!facts.exists || facts.unusable !== undefined) continue;
    const line: GcReport['tiers'][number] = { tier: tier.name, freedBytes: 0 };
    try {
      await removeLeftovers(tier.path, leftoverAgeMs);
      await removeQuarantine(tier, quarantineAgeMs);
      for (const repository of await repositoriesIn(tier.path)) {
        await tidyRepository(tier, repository, leftoverAgeMs);
      }
      await tidyRecords(tier);
      await trim(context, await measure(tier));
    } catch (error) {
      line.problem = messageOf(error);
      context.log?.warn(`${tier.name} (${tier.path}) could not be cleared up: ${line.problem}`);
    }
    line.freedBytes = Math.max(0, facts.usedBytes - (await usedBytes(tier)));
    report.freedBytes += line.freedBytes;
    report.tiers.push(line);
  }
  return report;
}

/** Blobs and drafts of a publication that was cut off, and the folder itself where no more is left. */
async function tidyRepository(tier: Tier, repository: string, ageMs: number): Promise<void> {
  const home = join(tier.path, repositoryFolder(repository));
  const old = async (path: string): Promise<boolean> => {
    const status = await stat(path).catch(() => undefined);
    return status !== undefined && Date.now() - status.mtimeMs >= ageMs;
  };
  const drafts = (await readdir(join(home, 'refs')).catch(() => [])).filter((name) =>
    name.startsWith(INCOMPLETE),
  );
  const orphans = await orphanedBlobs(tier.path, repository);
  const empty = await isEmpty(join(home, 'snapshots'));
  if (drafts.length === 0 && orphans.length === 0 && !empty) return;
  await whileUnused(tier, repository, true, async () => {
    // Once more, now that nobody publishes: what had no name then may have one.
    for (const path of await orphanedBlobs(tier.path, repository)) {
      if (await old(path)) await rm(path, { force: true });
    }
    for (const name of drafts) await rm(join(home, 'refs', name), { force: true });
    // Another tool's download in the middle has blobs of other names.
    const isBare = (await isEmpty(join(home, 'snapshots'))) && (await isEmpty(join(home, 'blobs')));
    if (isBare && (await old(home))) await removeFolder(home);
  });
}

/** Holds of the dead, claims nobody has, marks of models that are gone. */
async function tidyRecords(tier: Tier): Promise<void> {
  for (const kind of ['leases', 'reservations']) {
    const folder = statePath(tier, kind);
    for (const name of await readdir(folder).catch(() => [])) {
      await liveHolds(join(folder, name));
      await rmdir(join(folder, name)).catch(() => undefined);
    }
  }
  const fetching = statePath(tier, 'fetching');
  for (const name of await readdir(fetching).catch(() => [])) {
    if (name.startsWith(TRASH)) await rm(join(fetching, name), { recursive: true, force: true });
    else {
      const claim = await tryClaimFolder(join(fetching, name)).catch(() => undefined);
      if (claim !== undefined) await leaveStaging(claim);
    }
  }
  const stored = await readdir(tier.path);
  for (const name of await readdir(statePath(tier, 'used')).catch(() => [])) {
    const path = statePath(tier, 'used', name);
    if (repositoryOf(name) !== undefined && !stored.includes(name)) await rm(path, { force: true });
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [])).length === 0;
}
