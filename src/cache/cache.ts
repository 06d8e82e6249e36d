/** The tiers as one: where models are, who holds them, and what is done to keep them. */
import { stat } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { messageOf } from '../../lib/errors.js';
import { removeLeftovers } from '../storage/publish.js';
import type { CacheContext } from './context.js';
import type { CacheListener } from './events.js';
import { evictOne, removeModel, removeQuarantine, storedModels, trim } from './evict.js';
import { answered, isSilent, measure } from './facts.js';
import { collectGarbage, DAY_MS, type GcOptions, type GcReport } from './gc.js';
import type { Hold } from './hold.js';
import { findSnapshot, repositoriesIn, repositoryOf } from './layout.js';
import { betterTiers, migrateRepository, type MigrateOptions, type Migration } from './migrate.js';
import { homeTier, place, requireHome, type Placement, type PlaceRequest } from './place.js';
import { hasPin, leaseModel, removePin, setPin, touchUsed } from './records.js';
import type { Tier, TierName } from './tier.js';
import { listModels, statusOf, type ListedModel, type TierStatus } from './report.js';
import { quarantine, verifyRepository, type VerifiedSnapshot } from './verify.js';

export type { ListedModel, TierStatus };

export interface FoundModel {
  folder: string;
  tier: TierName | 'foreign';
}

export interface RemovedModel {
  repository: string;
  tier: TierName;
  bytes: number;
  /** "leased": a living process uses it; "busy": it is being written. */
  outcome: 'done' | 'leased' | 'busy';
}

/** Uses closer together than this are one: a busy worker does not write at each job. */
const SAME_USE_MS = 1000;

export class ModelCache {
  /** Best first. */
  readonly tiers: readonly Tier[];
  readonly #context: CacheContext;
  readonly #touched = new Map<string, number>();
  /** What was last said about a tier that fails, so that it is said once. */
  readonly #failures = new Map<Tier, string>();

  constructor(context: CacheContext) {
    this.tiers = context.tiers;
    this.#context = {
      ...context,
      // Whatever is done, it is done without those that do not answer.
      get tiers() {
        return context.tiers.filter((tier) => !isSilent(tier));
      },
    };
  }

  /** Everywhere models are looked for, for messages. */
  get roots(): string[] {
    return [...this.tiers.map(({ path }) => path), ...this.#context.foreign];
  }

  get emit(): CacheListener {
    return this.#context.emit;
  }

  /** The best tier that can be written now; undefined where none can. */
  home(): Promise<Tier | undefined> {
    return homeTier(this.#context.tiers);
  }

  /** @throws ModelError DOWNLOAD_FAILED, saying why each tier cannot be written */
  requireHome(name: string): Promise<Tier> {
    return requireHome(this.#context, name);
  }

  /** Deletes trash, and what nobody went on with for so long. */
  async sweep(leftoverAgeMs: number): Promise<void> {
    for (const tier of this.#context.tiers) {
      await removeLeftovers(tier.path, leftoverAgeMs).catch(() => undefined);
      await removeQuarantine(tier, DAY_MS).catch(() => undefined);
    }
  }

  /**
   * The snapshot of a revision in the best tier that has it. One of the wrong size is quarantined,
   * and one in a tier that fails is passed over. `fits`: whether a snapshot is the one that is wanted,
   * where a repository holds several models.
   */
  async find(
    repository: string,
    revision: string,
    fits: (folder: string) => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<FoundModel | undefined> {
    const { lacks } = this.#context;
    for (const tier of this.#context.tiers) {
      try {
        const found = await answered(tier, () =>
          findSnapshot(tier.path, repository, revision, lacks),
        );
        this.#failures.delete(tier);
        if (found === undefined) continue;
        if (found.problem === undefined) {
          if (!(await answered(tier, () => fits(found.folder)))) continue;
          await this.#touch(tier, repository);
          return { folder: found.folder, tier: tier.name };
        }
        await quarantine(this.#context, tier, repository, found.commit, found.problem);
      } catch (error) {
        this.failed(tier, messageOf(error));
      }
    }
    for (const root of this.#context.foreign) {
      // Another tool's cache that cannot be read is as good as none.
      const found = await findSnapshot(root, repository, revision, lacks).catch(() => undefined);
      if (found === undefined || found.problem !== undefined) continue;
      if (await fits(found.folder).catch(() => false)) {
        return { folder: found.folder, tier: 'foreign' };
      }
    }
    return undefined;
  }

  /** Says once that a tier is passed over, and why. */
  failed(tier: Tier, reason: string): void {
    if (this.#failures.get(tier) === reason) return;
    this.#failures.set(tier, reason);
    this.#context.log?.warn(`${tier.name} (${tier.path}) is passed over: ${reason}`);
    this.#context.emit({ type: 'tier-failed', tier: tier.name, reason });
  }

  /**
   * Keeps the model in a folder that `find` gave from being evicted, until it is released. Undefined
   * where it was evicted meanwhile. Folders outside the tiers need no lease: nothing evicts them.
   */
  async lease(folder: string): Promise<Hold | undefined> {
    const place = this.#placeOf(folder);
    if (place === undefined) return { release: () => Promise.resolve() };
    const { tier, repository } = place;
    const isThere = (): Promise<boolean> =>
      stat(folder).then(
        () => true,
        () => false,
      );
    const held = await leaseModel(tier, repository, isThere);
    return (
      held && {
        release: async () => {
          this.#touched.delete(`${tier.name} ${repository}`);
          await this.#touch(tier, repository);
          await held.release();
        },
      }
    );
  }

  place(request: PlaceRequest): Promise<Placement> {
    return place(this.#context, request);
  }

  /** After something was written into a tier: keeps it under its high watermark. */
  async trim(tier: Tier, justWritten: string): Promise<void> {
    await trim(this.#context, await measure(tier), [justWritten]);
  }

  /** Evicts the model used longest ago that nobody holds, other than `keep`. False where none is. */
  async evictFrom(tier: Tier, keep: string): Promise<boolean> {
    return (await evictOne(this.#context, tier, [keep])) !== undefined;
  }

  gc(options: GcOptions = {}): Promise<GcReport> {
    return collectGarbage(this.#context, options);
  }

  /** Reads every byte; what is corrupt in a tier is quarantined. Empty where there is no such model. */
  verify(repository: string, signal?: AbortSignal): Promise<VerifiedSnapshot[]> {
    return verifyRepository(this.#context, repository, signal);
  }

  /** @throws as migrateRepository */
  migrate(repository: string, options: MigrateOptions = {}): Promise<Migration> {
    return migrateRepository(this.#context, repository, options);
  }

  /** Migrates, one after another, every model whose only tiers are lost with this machine. */
  async migrateAll(options: MigrateOptions = {}): Promise<Migration[]> {
    const migrations: Migration[] = [];
    const seen = new Set<string>();
    for (const tier of this.#context.tiers) {
      const better = betterTiers(this.#context, { tier });
      for (const repository of await repositoriesIn(tier.path).catch(() => [])) {
        if (seen.has(repository)) continue;
        seen.add(repository);
        if (better.length === 0) continue;
        try {
          migrations.push(await this.migrate(repository, options));
        } catch (error) {
          options.signal?.throwIfAborted();
          const reason = messageOf(error);
          this.#context.log?.warn(`${repository} could not be migrated: ${reason}`);
          migrations.push({ outcome: 'stays', repository, reason });
        }
      }
    }
    return migrations;
  }

  /** Never evicts the repository until it is unpinned. False where no tier can be written. */
  async pin(repository: string): Promise<boolean> {
    const home = await this.home();
    if (home === undefined) return false;
    await setPin(home, repository);
    return true;
  }

  /** Whether it was pinned. */
  async unpin(repository: string): Promise<boolean> {
    let was = false;
    for (const tier of this.#context.tiers) {
      was = (await hasPin(tier, repository)) || was;
      await removePin(tier, repository);
    }
    return was;
  }

  /** Takes a repository out of every tier, pinned or not; out of use too where `force` is set. */
  async remove(repository: string, options: { force?: boolean } = {}): Promise<RemovedModel[]> {
    const removed: RemovedModel[] = [];
    for (const tier of this.#context.tiers) {
      const models = await storedModels(this.#context, tier);
      const bytes = models.find((model) => model.repository === repository)?.bytes;
      if (bytes === undefined) continue;
      const outcome = await removeModel(tier, repository, options.force);
      removed.push({ repository, tier: tier.name, bytes, outcome });
    }
    return removed;
  }

  /** Models in the tiers, and whole ones in other tools' caches. */
  list(): Promise<ListedModel[]> {
    return listModels(this.#context);
  }

  status(): Promise<TierStatus[]> {
    return statusOf(this.#context, this.tiers);
  }

  async #touch(tier: Tier, repository: string): Promise<void> {
    const key = `${tier.name} ${repository}`;
    const now = Date.now();
    if (now - (this.#touched.get(key) ?? -Infinity) < SAME_USE_MS) return;
    this.#touched.set(key, now);
    await touchUsed(tier, repository);
  }

  #placeOf(folder: string): { tier: Tier; repository: string } | undefined {
    for (const tier of this.#context.tiers) {
      const [home = '', kind] = relative(tier.path, folder).split(sep);
      const repository = repositoryOf(home);
      if (repository !== undefined && kind === 'snapshots') return { tier, repository };
    }
    return undefined;
  }
}
