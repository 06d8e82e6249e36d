/** Copies models that lie in a tier that is lost with the machine to one that lasts. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DownloadError, ModelError } from '../../lib/errors.js';
import type { Claim } from '../storage/claim.js';
import { explainDiskError } from '../storage/disk.js';
import { newHash } from '../storage/http_download.js';
import type { SourceFile, SourceListing } from '../storage/source.js';
import type { CacheContext } from './context.js';
import { removeModel } from './evict.js';
import { hasBlob, isStored, publishSnapshot, refsTo, snapshotsOf } from './layout.js';
import { CHUNK_BYTES, filesOf, hashFile, readManifest } from './manifest.js';
import { homeTier, place } from './place.js';
import {
  claimFetching,
  claimStaging,
  leaseModel,
  leaveStaging,
  recordSpeed,
  touchUsed,
} from './records.js';
import type { Tier, TierName } from './tier.js';
import { verifyRepository } from './verify.js';

export interface MigrateOptions {
  signal?: AbortSignal;
  /** Delete the source where nobody uses it, instead of leaving it for eviction. */
  removeSource?: boolean;
}

export type Migration =
  | {
      outcome: 'migrated';
      repository: string;
      from: TierName | 'foreign';
      to: TierName;
      bytes: number;
      seconds: number;
    }
  | { outcome: 'stays'; repository: string; reason: string };

/**
 * Copies one repository to the best tier that lasts and has room; nothing is evicted for it.
 * @throws DownloadError DISK_FULL; errors of the file system; the signal's reason
 */
export async function migrateRepository(
  context: CacheContext,
  repository: string,
  options: MigrateOptions = {},
): Promise<Migration> {
  const stays = (reason: string): Migration => ({ outcome: 'stays', repository, reason });
  const signal = options.signal ?? new AbortController().signal;
  const source = await locate(context, repository);
  if (source === undefined) return stays('it is in no cache');
  const better = betterTiers(context, source);
  if (better.length === 0) return stays('there is no better tier');
  const home = await homeTier(context.tiers);
  if (home === undefined) return stays('no tier can be written');
  const done = async (): Promise<boolean> => {
    for (const tier of better)
      if (await isStored(tier.path, repository, context.lacks)) return true;
    return false;
  };
  // Whoever wants to fetch the model meanwhile waits, and so do we for a fetch.
  const claim = await claimFetching(home, repository, { signal, done });
  if (claim === undefined) return stays('a better tier has it');
  try {
    const lease =
      source.tier &&
      (await leaseModel(source.tier, repository, () =>
        isStored(source.root, repository, context.lacks),
      ));
    try {
      const during = AbortSignal.any([signal, claim.lost]);
      return await migrateFrom(context, repository, source, better, during);
    } catch (error) {
      if (!(error instanceof DownloadError && error.code === 'CHECKSUM_MISMATCH')) throw error;
      await verifyRepository(context, repository, signal);
      return stays(error.message);
    } finally {
      await lease?.release();
      // After the lease: our own would keep it.
      if (options.removeSource === true && source.tier && (await done())) {
        await removeModel(source.tier, repository);
      }
    }
  } finally {
    await leaveStaging(claim);
  }
}

interface Origin {
  root: string;
  /** Undefined for a cache of another tool. */
  tier: Tier | undefined;
}

async function locate(context: CacheContext, repository: string): Promise<Origin | undefined> {
  for (const tier of context.tiers) {
    if (await isStored(tier.path, repository, context.lacks).catch(() => false))
      return { root: tier.path, tier };
  }
  for (const root of context.foreign) {
    if (await isStored(root, repository, context.lacks).catch(() => false))
      return { root, tier: undefined };
  }
  return undefined;
}

/** Tiers that last, where the source does not; between local disks moving gains nothing. */
export function betterTiers({ tiers }: CacheContext, { tier }: Pick<Origin, 'tier'>): Tier[] {
  const own = tier === undefined ? tiers.length : tiers.indexOf(tier);
  return tiers.filter(
    ({ persistent }, index) => persistent && (tier?.persistent !== true || index < own),
  );
}

async function migrateFrom(
  context: CacheContext,
  repository: string,
  source: Origin,
  better: readonly Tier[],
  signal: AbortSignal,
): Promise<Migration> {
  const snapshots = await snapshotsOf(source.root, repository, context.lacks);
  const whole = snapshots.filter(({ problem }) => problem === undefined);
  const started = performance.now();
  const migration: Migration = {
    ...{ outcome: 'migrated', repository, from: source.tier?.name ?? 'foreign' },
    ...{ to: better[0]?.name ?? 'volume', bytes: 0, seconds: 0 },
  };
  let among = better;
  for (const { folder, commit } of whole) {
    const listing = await listingOf(context, repository, commit, folder);
    if (listing === undefined) {
      return { outcome: 'stays', repository, reason: 'nothing says what its files should be' };
    }
    const need = (tier: Tier): Promise<number> => missingBytes(tier, listing, signal);
    let placement;
    try {
      placement = await place(context, {
        name: repository,
        repository,
        need,
        among,
        evict: false,
        signal,
      });
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      return { outcome: 'stays', repository, reason: error.message };
    }
    try {
      const { tier } = placement;
      among = [tier];
      migration.to = tier.name;
      const refs = await refsTo(source.root, repository, commit);
      migration.bytes += await copySnapshot({ tier, listing, folder, refs, signal });
    } finally {
      await placement.release();
    }
  }
  migration.seconds = (performance.now() - started) / 1000;
  const { from, to, bytes, seconds } = migration;
  context.log?.info(`Migrated ${repository} from ${from} to ${to} in ${seconds.toFixed(1)} s`);
  context.emit({ type: 'migrated', repository, from, to, bytes, seconds });
  return migration;
}

/** What a source would offer of this snapshot; undefined where a file has no digest to check. */
async function listingOf(
  { needs }: CacheContext,
  repository: string,
  commit: string,
  folder: string,
): Promise<SourceListing | undefined> {
  const there = await filesOf(folder);
  const recorded = (await readManifest(folder)) !== undefined;
  const needed = recorded ? undefined : new Set(needs(repository, there));
  const files: SourceFile[] = [];
  for (const { path, size, digest, blob } of there) {
    if (needed?.has(path) === false) continue;
    // Under the name that the hub gives it, so that it is found there when the next revision has it.
    const known = blob ?? digest;
    if (known === undefined) return undefined;
    files.push({ path, size, digest: known });
  }
  return { repository, commit, files, scratchBytes: 0 };
}

async function missingBytes(
  tier: Tier,
  { repository, files }: SourceListing,
  signal: AbortSignal,
): Promise<number> {
  let sum = 0;
  for (const { digest, size } of files) {
    if (!(await hasBlob(tier.path, repository, digest, size, signal))) sum += size;
  }
  return sum;
}

interface Copying {
  tier: Tier;
  listing: SourceListing;
  folder: string;
  refs: readonly string[];
  signal: AbortSignal;
}

/** Returns the bytes that were copied. */
async function copySnapshot({ tier, listing, folder, refs, signal }: Copying): Promise<number> {
  const { repository, files } = listing;
  const claim: Claim = await claimStaging(tier, repository, signal);
  // Not in the staging folder itself: a download would go on writing in a file that may be a link.
  const staging = join(claim.folder, `copy-${randomUUID()}`);
  const during = AbortSignal.any([signal, claim.lost]);
  try {
    await mkdir(staging);
    let bytes = 0;
    let seconds = 0;
    for (const { path, size, digest } of files) {
      if (await hasBlob(tier.path, repository, digest, size, during)) continue;
      const target = join(staging, digest.hex);
      seconds += await copyVerified(
        await realpath(join(folder, path)),
        target,
        size,
        digest,
        during,
      );
      bytes += size;
    }
    await recordSpeed(tier, bytes, seconds);
    const source = `a copy of ${folder}`;
    await publishSnapshot(tier.path, { listing, staging, refs, source, signal: during });
    await touchUsed(tier, repository);
    return bytes;
  } catch (error) {
    during.throwIfAborted();
    throw explainDiskError(error, tier.path);
  } finally {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
    await leaveStaging(claim);
  }
}

/**
 * Copies a file and checks it on the way; returns the seconds spent writing. On one file system a hard
 * link is the copy: published files are never written again.
 */
async function copyVerified(
  from: string,
  to: string,
  size: number,
  digest: SourceFile['digest'],
  signal: AbortSignal,
): Promise<number> {
  const mismatch = (): DownloadError =>
    new DownloadError(
      'CHECKSUM_MISMATCH',
      `${from} does not have the ${digest.algorithm} ${digest.hex}`,
    );
  try {
    await link(from, to);
    if ((await hashFile(to, digest.algorithm, size, signal)) !== digest.hex) throw mismatch();
    return 0;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) {
      throw error;
    }
  }
  const hash = newHash(digest.algorithm, size);
  const input = await open(from, 'r');
  let milliseconds = 0;
  try {
    const output = await open(to, 'w');
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        signal.throwIfAborted();
        const { bytesRead } = await input.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        const chunk = buffer.subarray(0, bytesRead);
        hash.update(chunk);
        const started = performance.now();
        await output.writeFile(chunk);
        milliseconds += performance.now() - started;
        // A job's work comes first.
        await nextTurn();
      }
      const started = performance.now();
      await output.sync();
      milliseconds += performance.now() - started;
    } finally {
      await output.close();
    }
  } finally {
    await input.close();
  }
  if (hash.digest('hex') !== digest.hex) throw mismatch();
  return milliseconds / 1000;
}
