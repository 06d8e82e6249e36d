/** A local hub with a few models, and stores over tiers in folders of their own. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { CacheEvent } from '../../../src/cache/events.js';
import type { Tier, TierName } from '../../../src/cache/tier.js';
import { ModelStore, type ModelStoreOptions } from '../../../src/models/store.js';
import { LocalHub } from '../storage/local_hub.js';
import { temporaryFolder } from '../storage/temporary.js';

export interface Fixture {
  hub: LocalHub;
  endpoint: string;
  root: string;
  /** What the stores said. */
  lines: string[];
  events: CacheEvent[];
  /** A model with weights of that many bytes; small settings beside them. */
  addModel(name: string, bytes: number): void;
  store(tiers: readonly Tier[], options?: ModelStoreOptions): ModelStore;
  /** A tier in a folder of this test. */
  tier(name: TierName, more?: Partial<Tier>): Tier;
}

export async function fixture(t: TestContext): Promise<Fixture> {
  const hub = new LocalHub();
  const endpoint = await hub.listen();
  t.after(() => hub.close());
  const root = await temporaryFolder(t);
  const lines: string[] = [];
  const events: CacheEvent[] = [];
  const log = {
    info: (line: string) => lines.push(line),
    warn: (line: string) => lines.push(line),
  };
  return {
    ...{ hub, endpoint, root, lines, events },
    addModel: (name, bytes) => {
      hub.repositories.set(name, {
        commit: randomBytes(20).toString('hex'),
        files: new Map([
          ['config.json', Buffer.from(`{"name":"${name}"}`)],
          ['tokenizer.json', randomBytes(3000)],
          // Random at its head, so that it is nobody else's, and quick to make.
          ['model.safetensors', Buffer.concat([randomBytes(1000), Buffer.alloc(bytes - 1000, 7)])],
        ]),
      });
    },
    store: (tiers, options = {}) =>
      new ModelStore({
        ...{ tiers, log, events: (event) => events.push(event) },
        ...{ hub: { endpoint, retry: { attempts: 2, pauseMs: 5 } } },
        // A home without a Hugging Face cache.
        env: { HF_HUB_CACHE: join(root, 'no-hub') },
        ...options,
      }),
    tier: (name, more = {}) => ({
      ...{ name, path: join(root, name), persistent: name === 'volume' || name === 'user' },
      ...more,
    }),
  };
}

/** Every file of the model has the bytes that the hub has. */
export async function assertWhole(f: Fixture, name: string, folder: string): Promise<void> {
  for (const [path, bytes] of f.hub.repositories.get(name)?.files ?? []) {
    assert.ok(bytes.equals(await readFile(join(folder, path))), `${name}: ${path}`);
  }
}

/** Models that lie in a tier, and anything else there but the cache's records. */
export async function namesIn(tier: Tier): Promise<string[]> {
  const names = await readdir(tier.path).catch(() => []);
  return names.filter((name) => name !== '.voxpod').sort();
}

/** What of the cache's records is more than memory: leases, reservations, claims, probes. */
export async function debrisIn(tier: Tier): Promise<string[]> {
  const names = await readdir(tier.path, { recursive: true }).catch(() => []);
  const kept =
    /^(models--[^/]+(\/(blobs|refs|snapshots)(\/[^.][^/]*){0,2})?|\.voxpod(\/(ballast|speed\.json|(used|pins)(\/models--[^/]+)?|(leases|reservations|fetching)|placing(\/owner-\d+\.json)?))?)$/;
  return names.filter((name) => !kept.test(name));
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
