import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { generator, type ActorConfig } from './actor.js';
import { assertWhole, debrisIn, fixture, namesIn, sha256, type Fixture } from './fixture.js';

const KILLS = 200;
const SEED = 20260514;
const AT_ONCE = 4;
/** Longer than a dead client's connection takes to be seen closed, shorter than a transfer. */
const OVERLAP_MS = 200;

/** Sees two transfers of one file that go on beside each other. */
class Overlaps {
  readonly found: string[] = [];
  readonly #open = new Map<string, Set<ServerResponse>>();

  watch(request: IncomingMessage, response: ServerResponse): boolean {
    const url = request.url ?? '';
    if (!url.includes('/resolve/')) return false;
    const others = this.#open.get(url) ?? new Set();
    this.#open.set(url, others);
    for (const other of others) {
      const both = (): void => {
        if (others.has(other) && others.has(response)) this.found.push(url);
      };
      setTimeout(both, OVERLAP_MS);
    }
    others.add(response);
    response.on('close', () => others.delete(response));
    return false;
  }
}

interface Life {
  /** What it was doing when it ended. */
  last: string;
  wrong: string[];
  events: string[];
  code: number | null;
}

/** Runs an actor; kills it `lifeMs` after it began to work, if given. */
async function live(config: ActorConfig, lifeMs?: number): Promise<Life> {
  const script = fileURLToPath(new URL('./actor.js', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(config)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const life: Life = { last: '', wrong: [], events: [], code: null };
  createInterface({ input: child.stderr }).on('line', (line) => life.wrong.push(line));
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line === 'ready' && lifeMs !== undefined) setTimeout(() => child.kill('SIGKILL'), lifeMs);
    if (line.startsWith('do ')) life.last = line.split(' ')[1] ?? '';
    else if (line.startsWith('WRONG')) life.wrong.push(line);
    else if (line.startsWith('event ')) life.events.push(line.slice(6));
  });
  await once(child, 'close');
  life.code = child.exitCode;
  return life;
}

function configOf(f: Fixture, tiers: ActorConfig['tiers'], seed: number): ActorConfig {
  const models: ActorConfig['models'] = {};
  for (const [name, { files }] of f.hub.repositories) {
    const digests = [...files].map(([path, bytes]) => [path, sha256(bytes)] as const);
    models[name] = Object.fromEntries(digests);
  }
  return { tiers, endpoint: f.endpoint, seed, models, finish: false };
}

test(
  `${KILLS} kills at random moments, ${AT_ONCE} processes at once on one cache`,
  { timeout: 300_000 },
  async (t) => {
    const f = await fixture(t);
    for (const name of ['org/a', 'org/b', 'org/c', 'org/d', 'org/e', 'org/f'])
      f.addModel(name, 3_000_000);
    // Two and three models fit, so that some are evicted. On two file systems where there are two, so
    // that migrations copy.
    const shared = await mkdtemp('/dev/shm/voxpod-test-').catch(() => f.root);
    t.after(() => rm(shared, { recursive: true, force: true, maxRetries: 3 }));
    const tiers = [
      f.tier('volume', { path: join(shared, 'volume'), limit: 8_000_000 }),
      f.tier('build', { limit: 11_000_000 }),
    ];
    // Known to be slow, the first is passed over by downloads and filled by migrations.
    const records = join(shared, 'volume', '.voxpod');
    await mkdir(records, { recursive: true });
    await writeFile(join(records, 'speed.json'), '{"writeBytesPerSecond":1000000}');
    const overlaps = new Overlaps();
    f.hub.intercept = (request, response) => overlaps.watch(request, response);
    f.hub.bytesPerSecond = 10_000_000;

    const random = generator(SEED);
    const killedIn = new Map<string, number>();
    const events = new Map<string, number>();
    const wrong: string[] = [];
    let kills = 0;
    const slot = async (): Promise<void> => {
      while (kills < KILLS) {
        kills += 1;
        const seed = Math.floor(random() * 2 ** 31);
        const life = await live(configOf(f, tiers, seed), random() * 1400);
        wrong.push(...life.wrong);
        killedIn.set(life.last, (killedIn.get(life.last) ?? 0) + 1);
        for (const event of life.events) events.set(event, (events.get(event) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, slot));
    t.diagnostic(`killed in ${JSON.stringify(Object.fromEntries(killedIn))}`);
    t.diagnostic(`events ${JSON.stringify(Object.fromEntries(events))}`);
    assert.deepEqual([...wrong, ...overlaps.found], []);
    for (const kind of ['use', 'migrate', 'gc', 'remove']) {
      assert.ok((killedIn.get(kind) ?? 0) > 0, `nobody was killed in ${kind}`);
    }
    for (const kind of ['fetched', 'evicted', 'migrated', 'hit']) {
      assert.ok((events.get(kind) ?? 0) > 0, `nothing was ${kind}`);
    }
    assert.ok((events.get('full') ?? 0) < 10, 'there was room for all that was in use');

    // Nobody waits for the dead: several at once come through.
    f.hub.bytesPerSecond = 0;
    const started = performance.now();
    const finish = { ...configOf(f, tiers, 1), finish: true };
    for (const life of await Promise.all([live(finish), live(finish), live(finish)])) {
      assert.deepEqual([life.code, life.wrong], [0, []]);
    }
    assert.ok(performance.now() - started < 30_000);
    assert.deepEqual(overlaps.found, []);

    const store = f.store(tiers);
    await store.cache.gc();
    for (const tier of tiers) {
      assert.deepEqual(await debrisIn(tier), []);
      for (const name of await namesIn(tier)) assert.match(name, /^models--org--[a-f]$/);
    }
    for (const { repository, snapshots, leases } of await store.cache.list()) {
      assert.equal(leases, 0);
      for (const { folder } of snapshots) await assertWhole(f, repository, folder);
      assert.equal(snapshots.length, 1);
    }
  },
);
