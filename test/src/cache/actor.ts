/**
 * A process that uses the cache at random until it is killed: CONFIG as JSON. Writes a line for each
 * thing it begins ("do ..."), and "WRONG ..." for whatever must never be.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelError } from '../../../lib/errors.js';
import type { Tier } from '../../../src/cache/tier.js';
import { ModelStore } from '../../../src/models/store.js';

export interface ActorConfig {
  tiers: Tier[];
  endpoint: string;
  seed: number;
  /** SHA-256 of each file of each model. */
  models: Record<string, Record<string, string>>;
  /** Ask for every model once and end, instead of going on for ever. */
  finish: boolean;
}

/** Mulberry32 (Tommy Ettinger, public domain): small, and the same everywhere. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function act(config: ActorConfig): Promise<void> {
  const { tiers, endpoint, models, finish } = config;
  const random = generator(config.seed);
  const names = Object.keys(models);
  const store = new ModelStore({
    ...{ tiers, hub: { endpoint }, env: { HF_HUB_CACHE: '/no/such/cache' } },
    events: (event) => {
      if (event.type === 'corrupt') say(`WRONG ${JSON.stringify(event)}`);
      if (event.type === 'tier-failed') say(`WRONG ${JSON.stringify(event)}`);
      say(`event ${event.type}`);
    },
    log: {
      info: (line) => {
        if (/^Evicted|goes? to/.test(line)) say(`log ${line}`);
      },
      warn: (line) => {
        if (!line.includes('cannot be kept in any tier')) say(`WRONG warning: ${line}`);
      },
    },
  });
  const use = async (name: string): Promise<void> => {
    const held = await store.acquire(name);
    for (const [path, expected] of Object.entries(models[name] ?? {})) {
      const hash = createHash('sha256').update(readFileSync(join(held.folder, path)));
      if (hash.digest('hex') !== expected) say(`WRONG bytes in ${held.folder}/${path}`);
    }
    await sleep(random() * 60);
    // Still there, since it is held.
    readFileSync(join(held.folder, 'config.json'));
    await held.release();
  };
  const pick = (): string => names[Math.floor(random() * names.length)] ?? '';
  say('ready');
  if (finish) {
    for (const name of names) await use(name);
    return;
  }
  // Some use models, some keep house.
  const kinds =
    random() < 0.6
      ? (['use', 'use', 'use', 'use', 'migrate'] as const)
      : (['migrate', 'migrate', 'remove', 'gc', 'verify'] as const);
  for (;;) {
    const name = pick();
    const kind = kinds[Math.floor(random() * kinds.length)];
    say(`do ${kind} ${name}`);
    try {
      if (kind === 'use') await use(name);
      else if (kind === 'migrate') await store.cache.migrateAll({ removeSource: random() < 0.5 });
      else if (kind === 'gc') await store.cache.gc();
      else if (kind === 'remove') await store.cache.remove(name);
      else await store.cache.verify(name);
      await sleep(random() * 20);
    } catch (error) {
      // Everybody else's models fill this small cache at times; then they must be in use.
      if (error instanceof ModelError && error.code === 'DISK_FULL') say('event full');
      else
        say(
          `WRONG ${kind} ${name}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
        );
    }
  }
}

/** At once, or the last line of one that is killed would be lost. */
function say(line: string): void {
  writeSync(1, `${line.replaceAll('\n', ' | ')}\n`);
}

const config = process.argv[2];
if (config !== undefined && process.argv[1]?.endsWith('actor.js')) {
  await act(JSON.parse(config) as ActorConfig);
}
