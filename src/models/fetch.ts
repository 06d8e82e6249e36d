/** Brings a model from the first source that has it into the best tier that has room. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, ModelError, VoxpodError, type ErrorCode } from '../../lib/errors.js';
import type { ModelCache } from '../cache/cache.js';
import { hasBlob, publishSnapshot } from '../cache/layout.js';
import { claimStaging, leaveStaging, stagingFolder, touchUsed } from '../cache/records.js';
import type { Tier, TierName } from '../cache/tier.js';
import type { Logger } from '../log.js';
import { ClaimLostError } from '../storage/claim.js';
import { explainDiskError, formatBytes, isDiskFull } from '../storage/disk.js';
import type { FetchContext, Source, SourceFile, SourceListing } from '../storage/source.js';
import type { ModelReference } from './catalogue.js';
import { chooseFiles } from './files.js';

export interface FetchJob {
  cache: ModelCache;
  model: ModelReference;
  /** Tried in turn. */
  sources: readonly Source[];
  context: FetchContext;
  log: Pick<Logger, 'info' | 'warn'> | undefined;
}

export interface FetchedModel {
  folder: string;
  tier: TierName;
  source: Source['kind'];
}

/** @throws ModelError, DownloadError; ClaimLostError where another process goes on in our place */
export async function fetchModel(job: FetchJob): Promise<FetchedModel> {
  const { cache, model, sources, context, log } = job;
  const failures: { source: Source; error: unknown }[] = [];
  for (const source of sources) {
    if (failures.length > 0) log?.warn(`${model.name}: trying ${source.description} instead`);
    try {
      return await fetchFrom(job, source);
    } catch (error) {
      context.signal.throwIfAborted();
      if (error instanceof ClaimLostError) throw error;
      log?.warn(`${model.name}: ${source.description}: ${messageOf(error)}`);
      failures.push({ source, error });
    }
  }
  const tried = failures.map(
    ({ source, error }) => `\n  ${source.description}: ${messageOf(error)}`,
  );
  throw new ModelError(
    commonCode(failures.map(({ error }) => error)),
    `${model.name} is in no cache (${cache.roots.join(', ')}) and could not be fetched:${tried.join('')}\nGive a folder that holds it, or see that one of these can be reached.`,
    { cause: failures[0]?.error },
  );
}

async function fetchFrom(job: FetchJob, source: Source): Promise<FetchedModel> {
  const { cache, model, context, log } = job;
  const listing = await source.list(context);
  const { lacks, what } = chooseFiles(model, listing.files);
  if (lacks.length > 0) {
    throw new ModelError(
      'MODEL_UNSUPPORTED',
      `${source.description} holds no ${what} that voxpod reads: it has no ${lacks.join(', no ')}`,
    );
  }
  const failed = new Map<Tier, string>();
  for (;;) {
    const placement = await cache.place({
      ...{ name: model.name, repository: listing.repository, failed, signal: context.signal },
      need: async (tier) => {
        const files = await missingFiles(tier, listing, context.signal);
        return bytesOf(files) - (await stagedBytes(tier, listing)) + listing.scratchBytes;
      },
    });
    const { tier } = placement;
    try {
      const folder = await fetchInto(job, source, listing, tier);
      await cache.trim(tier, listing.repository).catch(() => undefined);
      return { folder, tier: tier.name, source: source.kind };
    } catch (error) {
      context.signal.throwIfAborted();
      const reason = tierFailure(error);
      if (reason === undefined) throw error;
      log?.warn(`${model.name}: ${tier.name} (${tier.path}) failed: ${reason}`);
      failed.set(tier, reason);
    } finally {
      await placement.release();
    }
  }
}

async function fetchInto(
  { cache, model, context, log }: FetchJob,
  source: Source,
  listing: SourceListing,
  tier: Tier,
): Promise<string> {
  const { repository, commit } = listing;
  const started = performance.now();
  const claim = await claimStaging(tier, repository, context.signal);
  const staging = claim.folder;
  const signal = AbortSignal.any([context.signal, claim.lost]);
  try {
    const files = await missingFiles(tier, listing, signal);
    const bytes = bytesOf(files) - (await stagedBytes(tier, listing));
    log?.info(`${model.name}: fetching ${formatBytes(bytes)} from ${source.description}`);
    const fetchFiles = (): Promise<void> =>
      source.fetch({ ...listing, files }, staging, { ...context, signal });
    try {
      await fetchFiles();
    } catch (error) {
      signal.throwIfAborted();
      if (!isDiskFull(error) || !(await cache.evictFrom(tier, repository))) throw error;
      log?.warn(`${model.name}: ${tier.path} was full; going on after an eviction`);
      await fetchFiles();
    }
    const refs = [model.revision];
    const from = source.description;
    const folder = await publishSnapshot(tier.path, {
      ...{ listing, staging, refs, source: from, signal },
    });
    await emptyFolder(staging);
    await touchUsed(tier, repository);
    const seconds = (performance.now() - started) / 1000;
    log?.info(`${model.name}: fetched from ${source.description} in ${seconds.toFixed(1)} s`);
    cache.emit({
      ...{ type: 'fetched', model: model.name, source: source.kind, tier: tier.name },
      ...{ folder, repository, commit, bytes, seconds },
    });
    return folder;
  } catch (error) {
    context.signal.throwIfAborted();
    claim.lost.throwIfAborted();
    // Half a model is worth keeping where it can go on, not where there is no room for the rest.
    if (tierFailure(error) !== undefined) await emptyFolder(staging).catch(() => undefined);
    throw explainDiskError(error, tier.path);
  } finally {
    await leaveStaging(claim);
  }
}

/** Files of the listing that a tier does not have in their place. */
async function missingFiles(
  tier: Tier,
  { repository, files }: SourceListing,
  signal: AbortSignal,
): Promise<SourceFile[]> {
  const missing: SourceFile[] = [];
  // Files with the same bytes are one.
  for (const file of new Map(files.map((one) => [one.digest.hex, one])).values()) {
    if (!(await hasBlob(tier.path, repository, file.digest, file.size, signal))) missing.push(file);
  }
  return missing;
}

/** What an earlier download left to go on from. */
async function stagedBytes(tier: Tier, { repository, files }: SourceListing): Promise<number> {
  const staging = stagingFolder(tier, repository);
  let sum = 0;
  for (const { digest, size } of new Map(files.map((one) => [one.digest.hex, one])).values()) {
    const status = await stat(join(staging, digest.hex)).catch(() => undefined);
    // Blocks, since a file may be as long as it is to be and hold little yet.
    if (status) sum += Math.min(size, status.size, status.blocks * 512);
  }
  return sum;
}

/** All but the files that say whose the folder is. */
async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (/^(owner|draft)-/.test(name)) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

function bytesOf(files: readonly SourceFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** What a disk or network volume answers that failed or is gone. */
const FAILURES = new Set([
  ...['EIO', 'ESTALE', 'EROFS', 'ENODEV', 'ENXIO', 'ENOTCONN', 'EREMOTEIO', 'EHOSTDOWN'],
  ...['ETIMEDOUT', 'EACCES', 'EPERM', 'ENOENT', 'ENOTDIR'],
]);
/** System calls of sockets and processes, whose failures are the source's. */
const ELSEWHERE = /^(connect|getaddrinfo|spawn|kill|bind|listen|accept)/;

/** Why a tier, rather than the source, is to blame; undefined where it is not. */
function tierFailure(error: unknown): string | undefined {
  if (isDiskFull(error)) return 'it filled up while the model was written';
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined || ELSEWHERE.test(syscall) || !FAILURES.has(code ?? '')) {
    return undefined;
  }
  return messageOf(error);
}

/** The code all failures share; the one that asks for action; else DOWNLOAD_FAILED. */
function commonCode(errors: unknown[]): ErrorCode {
  const codes = errors.map((error) =>
    error instanceof VoxpodError ? error.code : 'DOWNLOAD_FAILED',
  );
  const first = codes[0] ?? 'DOWNLOAD_FAILED';
  if (codes.every((code) => code === first)) return first;
  return codes.includes('DISK_FULL') ? 'DISK_FULL' : 'DOWNLOAD_FAILED';
}
