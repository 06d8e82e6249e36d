/** Repositories with folders, and with more than one model, the whole way: hub, tiers, bucket. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { bucketSource } from '../../../src/models/bucket.js';
import { parseModelName } from '../../../src/models/catalogue.js';
import { uploadArtifact } from '../../../src/storage/bucket_upload.js';
import { modelUpload } from '../../../src/storage/model_sync.js';
import { debrisIn, fixture, namesIn, sha256, type Fixture } from '../cache/fixture.js';
import { openBucket, startRangeServer } from '../storage/stored_model.js';

const COMMIT = 'f5'.repeat(20);
const V1 = ['F5TTS_v1_Base/model_1250000.safetensors', 'F5TTS_v1_Base/vocab.txt'];
const V0 = ['F5TTS_Base/model_1200000.safetensors', 'F5TTS_Base/vocab.txt'];

/** A hub with the folders that SWivid/F5-TTS has. Both vocabularies are the same, as there. */
async function f5Fixture(t: TestContext): Promise<Fixture & { files: Map<string, Buffer> }> {
  const f = await fixture(t);
  const vocabulary = randomBytes(2000);
  const files = new Map<string, Buffer>([
    ['.gitattributes', Buffer.from('*')],
    ['README.md', Buffer.from('# F5')],
    ['F5TTS_Base/model_1200000.pt', randomBytes(1000)],
    ['F5TTS_Base/model_1200000.safetensors', randomBytes(50_000)],
    ['F5TTS_Base/vocab.txt', vocabulary],
    ['F5TTS_Base_bigvgan/model_1250000.pt', randomBytes(1000)],
    ['F5TTS_v1_Base/model_1250000.safetensors', randomBytes(60_000)],
    ['F5TTS_v1_Base/vocab.txt', vocabulary],
  ]);
  f.hub.repositories.set('SWivid/F5-TTS', { commit: COMMIT, files });
  return { ...f, files };
}

async function assertHas(
  folder: string,
  files: ReadonlyMap<string, Buffer>,
  paths: readonly string[],
): Promise<void> {
  for (const path of paths) {
    assert.ok(files.get(path)?.equals(await readFile(join(folder, path))), path);
  }
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  assert.equal(names.length, paths.length + 1, 'the files and their record');
}

test('one of the models in a repository is fetched with its folder, and each by itself', async (t) => {
  const f = await f5Fixture(t);
  // More pages than one, and the chosen files on the last.
  f.hub.pageSize = 3;
  const tier = f.tier('user');
  const store = f.store([tier]);
  const v1 = await store.resolve('f5-tts');
  assert.equal(v1.source, 'hub');
  await assertHas(v1.folder, f.files, V1);
  // What other tools look for.
  const home = join(tier.path, 'models--SWivid--F5-TTS');
  assert.equal(v1.folder, join(home, 'snapshots', COMMIT));
  assert.match(await readlink(join(v1.folder, V1[0]!)), /^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
  assert.equal(f.hub.transfers().length, 2);

  // The first one's folder is whole, but not this model's.
  const v0 = await store.resolve('f5-tts-base');
  assert.equal(v0.source, 'hub');
  await assertHas(v0.folder, f.files, V0);
  await assertHas(v1.folder, f.files, V1);
  const offline = f.store([tier], { offline: true });
  for (const [name, { folder }] of [
    ['f5-tts-v1-base', v1],
    ['SWivid/F5-TTS', v1],
    ['f5-tts-base', v0],
  ] as const) {
    assert.deepEqual(await offline.resolve(name), { folder, source: 'cache', tier: 'user' });
  }
  await assert.rejects(offline.resolve('f5-tts-base-bigvgan'), { code: 'MODEL_NOT_FOUND' });
  assert.deepEqual(
    (await store.cache.list()).map(({ repository }) => repository),
    ['SWivid/F5-TTS', 'voxpod-part/f5-tts-base'],
  );
  await store.cache.remove('voxpod-part/f5-tts-base', {});
  assert.equal((await offline.resolve('f5-tts')).folder, v1.folder);
  assert.deepEqual(
    (await namesIn(tier)).filter((name) => name.startsWith('.')),
    [],
  );
});

test('a file in a folder that is corrupt is found, put aside and fetched again', async (t) => {
  const f = await f5Fixture(t);
  const tier = f.tier('user');
  const store = f.store([tier]);
  const { folder } = await store.resolve('f5-tts');
  const [before] = await store.cache.verify('SWivid/F5-TTS');
  assert.deepEqual([before?.files, before?.problem], [2, undefined]);
  await writeFile(join(folder, V1[1]!), randomBytes(2000));
  const [after] = await store.cache.verify('SWivid/F5-TTS');
  assert.match(after?.problem ?? '', /^F5TTS_v1_Base\/vocab\.txt has the (git-sha1|sha256) /);
  assert.equal(after?.quarantined, true);
  await assertHas((await store.resolve('f5-tts')).folder, f.files, V1);
  // One that is gone is noticed by the next who asks.
  await rm(join(folder, V1[0]!));
  const again = await store.resolve('f5-tts');
  assert.equal(again.source, 'hub');
  await assertHas(again.folder, f.files, V1);
});

test('folders survive a migration; half a snapshot is completed where it lies', async (t) => {
  const f = await f5Fixture(t);
  const [volume, build] = [f.tier('volume'), f.tier('build')];
  await f.store([build]).resolve('f5-tts');
  const store = f.store([volume, build]);
  // As another tool left it: one of the folders, without a record.
  const other = join(volume.path, 'models--SWivid--F5-TTS', 'snapshots', COMMIT);
  await mkdir(join(other, 'F5TTS_v1_Base'), { recursive: true });
  await writeFile(join(other, V1[1]!), f.files.get(V1[1]!)!);
  const migration = await store.cache.migrate('SWivid/F5-TTS');
  assert.equal(migration.outcome, 'migrated');
  const { folder, tier } = await store.resolve('f5-tts');
  assert.equal(tier, 'volume');
  await assertHas(folder, f.files, V1);
  assert.deepEqual(
    (await debrisIn(volume)).filter((name) => !name.includes('/snapshots/')),
    [],
  );
});

test("a cache of other tools serves each of the repository's models, and gives only what is needed", async (t) => {
  const f = await f5Fixture(t);
  const foreign = join(f.root, 'no-hub');
  const home = join(foreign, 'models--SWivid--F5-TTS');
  // The whole repository, as huggingface_hub leaves it.
  for (const [path, bytes] of f.files) {
    const blob = sha256(bytes);
    const link = join(home, 'snapshots', COMMIT, path);
    await mkdir(dirname(link), { recursive: true });
    await mkdir(join(home, 'blobs'), { recursive: true });
    await writeFile(join(home, 'blobs', blob), bytes);
    await symlink(join(home, 'blobs', blob), link);
  }
  await mkdir(join(home, 'refs'));
  await writeFile(join(home, 'refs', 'main'), COMMIT);
  const volume = f.tier('volume');
  const store = f.store([volume], { offline: true });
  for (const name of ['f5-tts', 'f5-tts-base', 'f5-tts-base-bigvgan']) {
    assert.equal((await store.resolve(name)).tier, 'foreign', name);
  }
  assert.equal((await store.cache.migrate('SWivid/F5-TTS')).outcome, 'migrated');
  const { folder, tier } = await store.resolve('f5-tts');
  assert.equal(tier, 'volume');
  await assertHas(folder, f.files, V1);
  // Not on the volume, so still where it was.
  assert.equal((await store.resolve('f5-tts-base')).tier, 'foreign');
  // A folder that the tool still fills is none.
  await rm(join(home, 'snapshots', COMMIT, V0[0]!));
  await rm(join(home, 'snapshots', COMMIT, 'F5TTS_Base/model_1200000.pt'));
  await assert.rejects(store.resolve('f5-tts-base'), { code: 'MODEL_NOT_FOUND' });
});

test('folders survive the bucket: stored, listed, fetched where there is no hub', async (t) => {
  const f = await f5Fixture(t);
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings('models', 'pods'));
  const first = f.store([f.tier('user')]);
  const { signal } = new AbortController();
  for (const name of ['f5-tts', 'f5-tts-base']) {
    const { folder } = await first.resolve(name);
    const { repository } = parseModelName(name);
    const upload = await modelUpload(bucket, { repository, commit: COMMIT, folder });
    await uploadArtifact(bucket, upload, { signal });
  }
  await f.hub.close();
  const second = f.store([f.tier('build')], { bucket: (model) => bucketSource(bucket, model) });
  for (const [name, paths] of [
    ['f5-tts', V1],
    ['f5-tts-base', V0],
  ] as const) {
    const { folder, source } = await second.resolve(name);
    assert.equal(source, 's3');
    await assertHas(folder, f.files, paths);
  }
  await assert.rejects(second.resolve('f5-tts-base-bigvgan'), /does not hold voxpod-part/);
});

test('names that lead out of the folder are not taken from a hub', async (t) => {
  const f = await fixture(t);
  const evil = ['../../evil/model_1.safetensors', '/etc/model_1.safetensors', 'a\\..\\model_1.pt'];
  const files = new Map(evil.map((name) => [name, randomBytes(10)] as const));
  f.hub.repositories.set('org/evil', { commit: COMMIT, files });
  await assert.rejects(f.store([f.tier('user')]).resolve('org/evil'), {
    code: 'MODEL_UNSUPPORTED',
  });
  files.set('model_1.safetensors', randomBytes(10));
  const { folder } = await f.store([f.tier('user')]).resolve('org/evil');
  assert.deepEqual((await readdir(folder)).sort(), ['model_1.safetensors', 'voxpod.json']);
});

test('every family is pulled by its name', async (t) => {
  const f = await fixture(t);
  const shards = [1, 2].map((at) => `model-0000${at}-of-00002.safetensors`);
  const index = JSON.stringify({ weight_map: { a: shards[0], b: shards[1] } });
  const models: Record<string, Record<string, string>> = {
    'vocos-mel-24khz': { 'config.yaml': 'a', 'pytorch_model.bin': 'b' },
    'bigvgan-v2-24khz': { 'config.json': 'a', 'bigvgan_generator.pt': 'b' },
    'e2-tts': { 'E2TTS_Base/model_1200000.safetensors': 'a' },
    'higgs-audio-v2-original': {
      ...{ 'config.json': 'a', 'tokenizer.json': 'b', 'tokenizer_config.json': 'c' },
      ...{ 'model.safetensors.index.json': index, [shards[0]!]: 'd', [shards[1]!]: 'e' },
    },
    'higgs-audio-v2-tokenizer': { 'config.json': 'a', 'model.pth': 'b' },
  };
  const tier = f.tier('user');
  const store = f.store([tier]);
  for (const [name, contents] of Object.entries(models)) {
    const { hub = '', revision } = parseModelName(name);
    const files = new Map(
      Object.entries(contents).map(([path, text]) => [path, Buffer.from(text)] as const),
    );
    const commit = revision === 'main' ? COMMIT : revision;
    f.hub.repositories.set(hub, {
      commit,
      files: new Map([...files, ['README.md', Buffer.from('not taken')]]),
    });
    const { folder } = await store.resolve(name);
    await assertHas(folder, files, [...files.keys()]);
    assert.equal((await store.resolve(name)).source, 'cache');
  }
  assert.ok((await store.cache.list()).every(({ snapshots }) => snapshots.length === 1));
});
