import assert from 'node:assert/strict';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryFolder } from '../../../src/cache/layout.js';
import { statePath, whileUnused } from '../../../src/cache/records.js';
import type { Tier } from '../../../src/cache/tier.js';
import { self } from '../../../src/storage/owner.js';
import { assertWhole, debrisIn, fixture, namesIn, type Fixture } from './fixture.js';

const MB = 1_000_000;
const MODELS = ['org/a', 'org/b', 'org/c', 'org/d'];

/** Says that the models were used in this order, some seconds apart. */
async function usedInOrder(tier: Tier, names: readonly string[]): Promise<void> {
  const past = Date.now() / 1000 + 10;
  for (const [index, name] of names.entries()) {
    const file = statePath(tier, 'used', repositoryFolder(name));
    await utimes(file, past + index, past + index);
  }
}

function evicted(f: Fixture): string[] {
  return f.events.flatMap((event) => (event.type === 'evicted' ? [event.repository] : []));
}

test('the one used longest ago goes, by our own record of use', async (t) => {
  const f = await fixture(t);
  for (const name of MODELS) f.addModel(name, 3 * MB);
  const tier = f.tier('volume', { limit: 11 * MB });
  const store = f.store([tier]);
  for (const name of MODELS.slice(0, 3)) await store.resolve(name);
  await usedInOrder(tier, ['org/b', 'org/c', 'org/a']);
  await f.store([tier]).resolve('org/d');
  assert.deepEqual(evicted(f), ['org/b']);
  assert.equal((await readdir(statePath(tier, 'used'))).includes('models--org--b'), false);
  assert.deepEqual(await debrisIn(tier), []);
});

test('neither leased nor pinned nor kept models go; a dead process keeps none', async (t) => {
  const f = await fixture(t);
  for (const name of MODELS) f.addModel(name, 3 * MB);
  const tier = f.tier('volume', { limit: 11 * MB });
  const store = f.store([tier], { keep: ['org/b', '/some/folder'] });
  const a = await store.acquire('org/a');
  await store.resolve('org/b');
  await store.resolve('org/c');
  assert.equal(await store.cache.pin('org/c'), true);
  await assert.rejects(store.resolve('org/d'), {
    code: 'DISK_FULL',
    message: /evicting is not enough/,
  });
  assert.deepEqual(evicted(f), []);
  const listed = await store.cache.list();
  assert.deepEqual(
    listed.map(({ repository, leases, pinned }) => [repository, leases, pinned]),
    [
      ['org/a', 1, false],
      ['org/b', 0, true],
      ['org/c', 0, true],
    ],
  );

  // Two users of one process share a lease, and the last one ends it.
  const again = await store.acquire('org/a');
  assert.equal((await readdir(statePath(tier, 'leases', 'models--org--a'))).length, 1);
  await a.release();
  await a.release();
  assert.equal((await store.cache.list())[0]?.leases, 1);
  await again.release();
  assert.equal((await store.cache.list())[0]?.leases, 0);

  // A lease of a process that is gone, with our number and another start.
  const { machine, pid } = await self();
  const leases = statePath(tier, 'leases', 'models--org--a');
  await mkdir(leases, { recursive: true });
  await writeFile(join(leases, `0.${machine}.${pid}.1.00000000`), '');
  assert.equal((await store.resolve('org/d')).tier, 'volume');
  assert.deepEqual(evicted(f), ['org/a']);

  assert.equal(await store.cache.unpin('org/c'), true);
  assert.equal(await store.cache.unpin('org/c'), false);
  await store.resolve('org/a');
  assert.deepEqual(evicted(f).slice(1), ['org/c']);
});

test('a lease from elsewhere counts until it was not touched for ten minutes', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const tier = f.tier('volume');
  const store = f.store([tier]);
  await store.resolve('org/a');
  const leases = statePath(tier, 'leases', 'models--org--a');
  await mkdir(leases, { recursive: true });
  const file = join(leases, '0.0123456789abcdef.7.1.00000000');
  await writeFile(file, '');
  assert.equal((await store.cache.remove('org/a'))[0]?.outcome, 'leased');
  const old = new Date(Date.now() - 11 * 60_000);
  await utimes(file, old, old);
  assert.equal((await store.cache.remove('org/a'))[0]?.outcome, 'done');
  assert.deepEqual(await store.cache.remove('org/a'), []);
});

test('who leases while it is removed waits, and gets another copy', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const tier = f.tier('volume');
  const store = f.store([tier]);
  const { folder } = await store.resolve('org/a');
  let go = (): void => undefined;
  const wait = new Promise<void>((resolve) => (go = resolve));
  const removing = whileUnused(tier, 'org/a', false, () => wait);
  // Until the mark is there.
  while (
    !(await readdir(tier.path, { recursive: true })).some((name) => name.endsWith('removing'))
  );
  let settled = false;
  const leasing = store.cache.lease(folder).finally(() => (settled = true));
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(settled, false);
  go();
  assert.equal(await removing, 'done');
  const lease = await leasing;
  assert.ok(lease);
  // Now it is held, nobody removes it.
  assert.equal((await store.cache.remove('org/a'))[0]?.outcome, 'leased');
  assert.equal((await store.cache.remove('org/a', { force: true }))[0]?.outcome, 'done');
  await lease.release();
  assert.equal(await store.cache.lease(folder), undefined);
  const held = await store.acquire('org/a');
  await assertWhole(f, 'org/a', held.folder);
  await held.release();
});

test('above the high watermark models go until the low one', async (t) => {
  const f = await fixture(t);
  for (const name of MODELS) f.addModel(name, 3 * MB);
  const tier = f.tier('volume', { limit: 13 * MB });
  const marks = { VOXPOD_CACHE_HIGH_WATER: '0.75', VOXPOD_CACHE_LOW_WATER: '0.5' };
  const store = f.store([tier], { env: { HF_HUB_CACHE: '/no/such', ...marks } });
  for (const name of MODELS.slice(0, 3)) await store.resolve(name);
  assert.deepEqual(evicted(f), []);
  await usedInOrder(tier, ['org/c', 'org/a', 'org/b']);
  // Fits, and then it is too much; what has just come stays.
  await store.resolve('org/d');
  assert.deepEqual(evicted(f), ['org/c', 'org/a']);
  assert.deepEqual(await namesIn(tier), ['models--org--b', 'models--org--d']);
  const [status] = await store.cache.status();
  assert.ok(status && status.usedBytes < 6.5 * MB && status.models === 2);
  assert.equal(status.highBytes, 9.75 * MB);
});

test('gc takes what the dead left, what is old, and no more', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const tier = f.tier('volume');
  const store = f.store([tier]);
  const { folder } = await store.resolve('org/a');
  const put = async (...path: string[]): Promise<void> => {
    await mkdir(join(tier.path, ...path.slice(0, -1)), { recursive: true });
    await writeFile(join(tier.path, ...path), 'x'.repeat(5000));
  };
  await put('.trash-1', 'file');
  await put('.incomplete-models--org--x', 'half');
  await put(`.corrupt-models--org--y-${Date.now() - 25 * 3600_000}`, 'file');
  await put(`.corrupt-models--org--z-${Date.now()}`, 'file');
  await put('models--org--a', 'blobs', '0'.repeat(64));
  await put('models--org--a', 'refs', '.incomplete-0');
  await put('models--org--cut-off', 'blobs', '1'.repeat(64));
  await put('models--org--another-tools', 'blobs', '2.incomplete');
  await put('scratch', 'somebody-elses');
  await put('.voxpod', 'used', 'models--org--gone');
  await put('.voxpod', 'fetching', 'models--org--x', 'draft-1');
  const report = await store.cache.gc({ leftoverAgeMs: 3600_000 });
  assert.ok((await namesIn(tier)).includes('.incomplete-models--org--x'));
  assert.ok(report.freedBytes >= 2 * 5000);
  await store.cache.gc();
  assert.deepEqual(await namesIn(tier), [
    (await readdir(tier.path)).find((name) => name.startsWith('.corrupt-models--org--z')),
    ...['models--org--a', 'models--org--another-tools', 'scratch'],
  ]);
  await store.cache.gc({ quarantineAgeMs: 0 });
  assert.deepEqual(await namesIn(tier), [
    ...['models--org--a', 'models--org--another-tools', 'scratch'],
  ]);
  assert.deepEqual(
    (await debrisIn(tier)).filter((name) => !/another|scratch/.test(name)),
    [],
  );
  await assertWhole(f, 'org/a', folder);
});
