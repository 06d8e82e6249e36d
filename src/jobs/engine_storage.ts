/**
 * Where the engine's process has its files from: libtorch and models out of the tiers, the bucket, the
 * hub; and what it does for the next start when no job runs: it stores in the bucket what came from
 * elsewhere, and moves models to the tier that lasts.
 */
import { cacheRoot } from '../../lib/cache_root.js';
import { messageOf } from '../../lib/errors.js';
import { Analytics } from '../analytics/analytics.js';
import { announceModelCache } from '../cache/disk_guard.js';
import type { CacheEvent } from '../cache/events.js';
import type { Logger } from '../log.js';
import { bucketSource } from '../models/bucket.js';
import type { ModelReference } from '../models/catalogue.js';
import { ModelStore } from '../models/store.js';
import { isWorker } from '../runpod/environment.js';
import type { FitnessCheck } from '../runpod/fitness.js';
import { ensureLibtorch } from '../setup/ensure.js';
import { Bucket } from '../storage/bucket.js';
import { readBucketEnvironment } from '../storage/bucket_environment.js';
import { isSyncWanted, ModelSync } from '../storage/model_sync.js';
import { Idle } from './idle.js';

export interface EngineStorageOptions {
  /** Models that are not evicted while this process runs. */
  models: readonly string[];
  log: Logger;
  /** Where the analytics are kept; none are written without. */
  analyticsFile: string | undefined;
  /** Aborts when the process ends. */
  signal: AbortSignal;
  /** Default process.env. Changed: children find libtorch and the models there. */
  env?: NodeJS.ProcessEnv;
}

export class EngineStorage {
  readonly analytics: Analytics;
  readonly idle = new Idle();
  readonly store: ModelStore;
  readonly #options: EngineStorageOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #bucket: Bucket | undefined;
  readonly #sync: ModelSync | undefined;
  #migrating: Promise<void> | undefined;

  constructor(options: EngineStorageOptions) {
    const { log, models, analyticsFile } = options;
    const env = options.env ?? process.env;
    this.#options = options;
    this.#env = env;
    this.analytics = new Analytics({
      log,
      ...(analyticsFile === undefined ? {} : { file: analyticsFile }),
    });
    const { settings } = readBucketEnvironment(env);
    const bucket = settings && new Bucket(settings);
    this.#bucket = bucket;
    this.#sync =
      bucket && isSyncWanted(env)
        ? new ModelSync(bucket, { log, idle: (signal) => this.idle.quiet(signal) })
        : undefined;
    this.store = new ModelStore({
      ...{ env, log, keep: models, events: (event) => this.#heard(event) },
      ...(bucket && { bucket: (model: ModelReference) => bucketSource(bucket, model) }),
    });
  }

  /** Before a model can be loaded. */
  get checks(): FitnessCheck[] {
    return [
      { name: 'storage', run: () => this.#announce() },
      {
        name: 'libtorch',
        run: (signal) => this.analytics.phase('libtorch', () => this.#ensureLibtorch(signal)),
      },
    ];
  }

  /** To be called once the worker is ready. */
  startBackground(): void {
    this.#migrating ??= this.#migrate();
  }

  async dispose(): Promise<void> {
    await this.#sync?.dispose();
    await this.#migrating;
    await this.#bucket?.dispose();
    await this.analytics.flush();
  }

  #heard(event: CacheEvent): void {
    this.analytics.listen(event);
    if (event.type !== 'fetched' || event.source === 's3') return;
    const { repository, commit, folder } = event;
    this.#sync?.add({ repository, commit, folder });
  }

  /** Always, whatever can be written: Python programs must not fall back on the system's disk. */
  async #announce(): Promise<void> {
    const home = await this.store.cache.home();
    const first = this.store.cache.tiers[0]?.path ?? cacheRoot(this.#env);
    announceModelCache(home?.path ?? first, this.#env);
  }

  async #ensureLibtorch(signal: AbortSignal): Promise<void> {
    const env = this.#env;
    const roots: string[] = [];
    if (isWorker(env) && !env['VOXPOD_CACHE']) {
      for (const { path, problem } of await this.store.cache.status()) {
        if (problem === undefined) roots.push(path);
      }
    }
    // What was built into the image counts, too.
    roots.push(cacheRoot(env));
    const libtorch = await ensureLibtorch({
      ...{ env, roots, signal, bucket: this.#bucket, sync: this.#sync, log: this.#options.log },
    });
    if (libtorch.source === 'LIBTORCH') env['LIBTORCH'] = libtorch.directory;
  }

  /** A model that lies in a tier which is lost with this machine goes to one that lasts. */
  async #migrate(): Promise<void> {
    const { signal, log } = this.#options;
    try {
      for (;;) {
        await this.idle.quiet(signal);
        const { interrupted } = this.idle;
        try {
          const during = AbortSignal.any([signal, interrupted]);
          await this.store.cache.migrateAll({ signal: during });
          return;
        } catch (error) {
          // A job came: what was copied so far stays for the next quiet time.
          if (!interrupted.aborted || signal.aborted) throw error;
        }
      }
    } catch (error) {
      if (!signal.aborted) log.warn(`Models could not be migrated: ${messageOf(error)}`);
    }
  }
}
