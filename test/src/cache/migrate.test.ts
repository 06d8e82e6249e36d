import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Tier } from '../../../src/cache/tier.js';
import { assertWhole, debrisIn, fixture, namesIn, type Fixture } from './fixture.js';

const MB = 1_000_000;

/** A tier on another file system than the temporary folder, or the reason why there is none. */
async function elsewhere(t: TestContext, f: Fixture): Promise<Tier> {
  const folder = await mkdtemp('/dev/shm/voxpod-test-').catch(() => undefined);
  if (folder === undefined || (await stat(folder)).dev === (await stat(f.root)).dev) {
    t.skip('/dev/shm is no file system of its own');
    return f.tier('volume');
  }
  t.after(() => rm(folder, { recursive: true, force: true }));
  return f.tier('volume', { path: join(folder, 'models') });
}

test('a model moves up to the volume, checked on the way, by a link on one disk', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 2 * MB);
  const [volume, build] = [f.tier('volume'), f.tier('build')];
  const before = await f.store([build]).resolve('org/a');
  const store = f.store([volume, build]);
  const migration = await store.cache.migrate('org/a');
  assert.ok(migration.outcome === 'migrated');
  assert.deepEqual(
    [migration.from, migration.to, migration.bytes],
    ['build', 'volume', 2 * MB + 3016],
  );
  const after = await store.resolve('org/a');
  assert.equal(after.tier, 'volume');
  await assertWhole(f, 'org/a', after.folder);
  const [one, other] = await Promise.all(
    [before, after].map(({ folder }) => stat(join(folder, 'model.safetensors'))),
  );
  assert.equal(one?.ino, other?.ino);
  // The blobs keep the hub's names, so that the next revision finds them.
  f.hub.repositories.get('org/a')!.commit = 'b'.repeat(40);
  f.hub.requests.length = 0;
  await store.resolve(`org/a@${'b'.repeat(40)}`);
  assert.equal(f.hub.transfers().length, 0);
  const again = await store.cache.migrate('org/a');
  assert.deepEqual(again, {
    ...{ outcome: 'stays', repository: 'org/a', reason: 'there is no better tier' },
  });
  // The copy left behind is the first to go.
  await store.cache.evictFrom(build, '');
  assert.deepEqual(await namesIn(build), []);
  await assertWhole(f, 'org/a', after.folder);
  assert.deepEqual(await debrisIn(volume), []);
});

test('a model moves to another file system, and its source goes when asked', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 20 * MB);
  f.addModel('org/b', 5000);
  const [volume, build] = [await elsewhere(t, f), f.tier('build')];
  const local = f.store([build]);
  await local.resolve('org/a');
  const b = await local.acquire('org/b');
  const store = f.store([volume, build]);
  const migrations = await store.cache.migrateAll({ removeSource: true });
  assert.deepEqual(
    migrations.map(({ outcome }) => outcome),
    ['migrated', 'migrated'],
  );
  // In use: left for eviction.
  assert.deepEqual(await namesIn(build), ['models--org--b']);
  await b.release();
  for (const name of ['org/a', 'org/b']) {
    const { folder, tier } = await store.resolve(name);
    assert.equal(tier, 'volume');
    await assertWhole(f, name, folder);
  }
  // What was written tells how fast the volume is.
  assert.ok(((await store.cache.status())[0]?.writeBytesPerSecond ?? 0) > 0);
  for (const tier of [volume, build]) assert.deepEqual(await debrisIn(tier), []);
});

test('a damaged source is quarantined, not copied', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 2 * MB);
  const [volume, build] = [await elsewhere(t, f), f.tier('build')];
  const { folder } = await f.store([build]).resolve('org/a');
  await truncate(join(folder, 'model.safetensors'), 1 * MB);
  await truncate(join(folder, 'model.safetensors'), 2 * MB);
  const store = f.store([volume, build]);
  const migration = await store.cache.migrate('org/a');
  assert.match(migration.outcome === 'stays' ? migration.reason : '', /does not have the sha256/);
  assert.deepEqual(await namesIn(volume), []);
  assert.ok(f.events.some(({ type }) => type === 'corrupt'));
  assert.equal((await store.resolve('org/a')).source, 'hub');
});

test('an abort ends it and leaves nothing', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 60 * MB);
  const [volume, build] = [await elsewhere(t, f), f.tier('build')];
  const { folder } = await f.store([build]).resolve('org/a');
  const store = f.store([volume, build]);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('a job came')), 30);
  await assert.rejects(store.cache.migrate('org/a', { signal: controller.signal }), /a job came/);
  assert.deepEqual(await namesIn(volume), []);
  await store.cache.gc();
  assert.deepEqual(await debrisIn(volume), []);
  await assertWhole(f, 'org/a', folder);
});

test('nothing is evicted for a migration', async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b']) f.addModel(name, 3 * MB);
  const [volume, build] = [f.tier('volume', { limit: 5 * MB }), f.tier('build')];
  await f.store([volume]).resolve('org/a');
  await f.store([build]).resolve('org/b');
  const [b, ...others] = await f.store([volume, build]).cache.migrateAll();
  assert.ok(b?.outcome === 'stays');
  assert.match(b.reason, /volume .*: .* free of 3\.0 MB needed/);
  assert.deepEqual(others, []);
  assert.deepEqual(await namesIn(volume), ['models--org--a']);
});

test("another tool's model is copied only when it is asked for by name", async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const foreign = f.tier('build', { path: join(f.root, 'hub') });
  await f.store([foreign]).resolve('org/a');
  const volume = f.tier('volume');
  const store = f.store([volume], { env: { HF_HUB_CACHE: foreign.path } });
  assert.equal((await store.resolve('org/a')).tier, 'foreign');
  assert.deepEqual(await store.cache.migrateAll(), []);
  assert.equal((await store.cache.migrate('org/a')).outcome, 'migrated');
  assert.equal((await store.resolve('org/a')).tier, 'volume');
});

test('a model that nothing vouches for stays where it is', async (t) => {
  const f = await fixture(t);
  const build = f.tier('build');
  const snapshot = join(build.path, 'models--org--a', 'snapshots', 'a'.repeat(40));
  await mkdir(snapshot, { recursive: true });
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    await writeFile(join(snapshot, name), 'x');
  }
  const migration = await f.store([f.tier('volume'), build]).cache.migrate('org/a');
  assert.match(migration.outcome === 'stays' ? migration.reason : '', /nothing says what/);
});
