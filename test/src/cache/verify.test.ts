import assert from 'node:assert/strict';
import { mkdir, open, readFile, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertWhole, fixture, namesIn, sha256 } from './fixture.js';

/** Changes a byte in the middle of a file, as a failing disk does. */
async function damage(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.from('!'), 0, 1, Math.floor(size / 2));
  await file.close();
}

test('a changed byte is found, said, quarantined, and the model fetched again', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 3_000_000);
  const tier = f.tier('volume');
  const store = f.store([tier]);
  const { folder } = await store.resolve('org/a');
  const [good] = await store.cache.verify('org/a');
  assert.deepEqual(good, {
    ...{ tier: 'volume', folder, files: 3, bytes: 3_003_016, unknown: [] },
    ...{ problem: undefined, quarantined: false },
  });
  for (const name of ['config.json', 'model.safetensors']) {
    await damage(join(folder, name));
    const [bad] = await store.cache.verify('org/a');
    assert.match(bad?.problem ?? '', new RegExp(`^${name} has the sha256 .* instead of`));
    assert.equal(bad?.quarantined, true);
    // One at most is kept for a look.
    assert.equal((await readdir(tier.path)).filter((one) => one.startsWith('.corrupt-')).length, 1);
    const event = f.events.at(-1);
    assert.ok(event?.type === 'corrupt' && event.repository === 'org/a');
    assert.match(f.lines.at(-1) ?? '', /org\/a in volume is corrupt: /);
    f.hub.requests.length = 0;
    await assertWhole(f, 'org/a', (await store.resolve('org/a')).folder);
    assert.equal(f.hub.transfers().length, 3);
  }
  assert.deepEqual(await store.cache.verify('org/absent'), []);
});

test('a file of the wrong size is found without being read', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 50_000);
  const [tier, build] = [f.tier('volume'), f.tier('build')];
  const store = f.store([tier, build]);
  const ways: [RegExp, (folder: string) => Promise<void>][] = [
    [
      /model\.safetensors has 40000 bytes instead of 50000/,
      (at) => truncate(join(at, 'model.safetensors'), 40_000),
    ],
    [/tokenizer\.json is missing/, (at) => rm(join(at, 'tokenizer.json'))],
    [/voxpod\.json cannot be read/, (at) => writeFile(join(at, 'voxpod.json'), '{"files":')],
  ];
  for (const [reason, harm] of ways) {
    const { folder } = await store.resolve('org/a');
    await harm(folder);
    f.hub.requests.length = 0;
    const again = await store.resolve('org/a');
    await assertWhole(f, 'org/a', again.folder);
    assert.equal(again.source, 'hub');
    assert.equal(f.hub.transfers().length, 3);
    const event = f.events.findLast(({ type }) => type === 'corrupt');
    assert.ok(event?.type === 'corrupt');
    assert.match(event.reason, reason);
  }
  // Another tier that has it whole is better than the hub.
  await f.store([build]).resolve('org/a');
  const { folder } = await store.resolve('org/a');
  await truncate(join(folder, 'config.json'), 1);
  f.hub.requests.length = 0;
  assert.equal((await store.resolve('org/a')).tier, 'build');
  assert.equal(f.hub.requests.length, 0);
});

test("another tool's model is verified by the names of its blobs, and never touched", async (t) => {
  const f = await fixture(t);
  const foreign = join(f.root, 'hub');
  const home = join(foreign, 'models--org--a');
  const snapshot = join(home, 'snapshots', 'a'.repeat(40));
  for (const folder of [snapshot, join(home, 'blobs'), join(home, 'refs')]) {
    await mkdir(folder, { recursive: true });
  }
  await writeFile(join(home, 'refs', 'main'), 'a'.repeat(40));
  const weights = Buffer.alloc(5000, 1);
  await writeFile(join(home, 'blobs', sha256(weights)), weights);
  await symlink(`../../blobs/${sha256(weights)}`, join(snapshot, 'model.safetensors'));
  await writeFile(join(snapshot, 'config.json'), '{}');
  await writeFile(join(snapshot, 'tokenizer.json'), '{}');
  const store = f.store([f.tier('build')], { env: { HF_HUB_CACHE: foreign } });
  assert.equal((await store.resolve('org/a')).tier, 'foreign');
  const [good] = await store.cache.verify('org/a');
  assert.deepEqual([good?.files, good?.unknown], [1, ['config.json', 'tokenizer.json']]);
  await damage(join(snapshot, 'model.safetensors'));
  const [bad] = await store.cache.verify('org/a');
  assert.match(bad?.problem ?? '', /model\.safetensors has the sha256/);
  assert.equal(bad?.quarantined, false);
  assert.ok((await readFile(join(snapshot, 'model.safetensors'))).includes('!'));
  assert.deepEqual(await namesIn({ ...f.tier('build'), path: foreign }), ['models--org--a']);
});

test('a blob that lies there already is only used when its bytes are right', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 50_000);
  const tier = f.tier('volume');
  const store = f.store([tier]);
  const { folder } = await store.resolve('org/a');
  await damage(join(folder, 'model.safetensors'));
  // The next revision has the same weights.
  const { files } = f.hub.repositories.get('org/a') ?? { files: new Map<string, Buffer>() };
  f.hub.repositories.set('org/a', { commit: 'b'.repeat(40), files });
  f.hub.requests.length = 0;
  const next = await store.resolve(`org/a@${'b'.repeat(40)}`);
  await assertWhole(f, 'org/a', next.folder);
  assert.equal(f.hub.transfers().length, 1);
});
