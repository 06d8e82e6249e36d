/** Checks of the tiers that models are kept in: which are there, and whether a model fits anywhere. */
import type { TierStatus } from '../cache/cache.js';
import { probe } from '../cache/facts.js';
import { ModelStore } from '../models/store.js';
import { formatBytes } from '../storage/disk.js';
import { bad, note, ok, type Check } from './findings.js';

/** The largest Whisper in float16, with room for its download. */
const LARGE_MODEL_BYTES = 3_500_000_000;

export function storageChecks(env: NodeJS.ProcessEnv): Check[] {
  return [{ name: 'tiers', run: () => tiers(env) }];
}

async function tiers(env: NodeJS.ProcessEnv) {
  const { cache } = new ModelStore({ env });
  const all = await cache.status();
  const lines: string[] = [];
  const usable: TierStatus[] = [];
  for (const [at, tier] of all.entries()) {
    const { name, path, models, availableBytes } = tier;
    const place = cache.tiers[at];
    // Looking is not enough: some volumes take every write and fail when it is to last.
    const problem = tier.problem ?? (place && (await probe(place)));
    if (problem === undefined) usable.push(tier);
    lines.push(
      `${name} ${path}: ${problem ?? `${models} models, room for ${formatBytes(availableBytes)}`}`,
    );
  }
  const detail = lines.join('; ');
  if (usable.length === 0) {
    return bad(`${detail}. Set VOXPOD_CACHE to a folder that can be written`);
  }
  const most = Math.max(...usable.map(({ availableBytes }) => availableBytes));
  if (most < LARGE_MODEL_BYTES) {
    return note(
      `${detail}. A large model needs ${formatBytes(LARGE_MODEL_BYTES)}: attach a network volume, or set VOXPOD_CACHE to a larger disk`,
    );
  }
  if (!usable.some(({ persistent }) => persistent)) {
    return note(
      `${detail}. None of them outlives this worker: models are fetched at each cold start, unless a network volume is attached or a bucket is set`,
    );
  }
  return ok(detail);
}
