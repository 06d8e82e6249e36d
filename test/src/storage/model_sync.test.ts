import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Bucket } from '../../../src/storage/bucket.js';
import type { BucketSettings } from '../../../src/storage/bucket_environment.js';
import { listUploads } from '../../../src/storage/bucket_multipart.js';
import { ModelSync, type ModelSyncOptions } from '../../../src/storage/model_sync.js';
import { needS3, startS3Server } from './s3_server.js';
import type { RangeServer } from './range_server.js';
import {
  COMMIT,
  contents,
  madeBytes,
  makeModel,
  openBucket,
  sha256,
  sourceOf,
  startRangeServer,
  storeModel,
  WEIGHTS_BYTES,
} from './stored_model.js';
import { temporaryFolder } from './temporary.js';

const s3Server = await startS3Server();
const BASE = 'models/models--org--whisper-made';
const WEIGHTS = sha256(madeBytes(WEIGHTS_BYTES));
/** Enough that a kill in the middle leaves some parts there and some not. */
const LARGE_BYTES = 12 * 8 * 2 ** 20;

function startSync(t: TestContext, bucket: Bucket, options: ModelSyncOptions = {}) {
  const lines: string[] = [];
  const log = {
    info: (line: string) => lines.push(`info ${line}`),
    warn: (line: string) => lines.push(`warn ${line}`),
  };
  const sync = new ModelSync(bucket, { settleMs: 50, log, ...options });
  t.after(() => sync.dispose());
  return { sync, lines };
}

/** What was stored, without who stored it. */
function uploaded(server: RangeServer): string[] {
  return server.requests.filter((line) => line.startsWith('PUT') && !line.includes('/uploads/'));
}

test('a model is stored whole: files, then the manifest, then its name', async (t) => {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings());
  const { sync, lines } = startSync(t, bucket);
  const model = await makeModel(await temporaryFolder(t));
  // The record that the store writes; what it does not name is not stored.
  const files = [{ path: 'config.json' }, { path: 'model.safetensors', sha256: WEIGHTS }];
  await writeFile(join(model.folder, 'voxpod.json'), JSON.stringify({ files }));
  sync.add(model);
  sync.add(model);
  await sync.done();
  const kinds = uploaded(server).map((line) => line.replace(/[0-9a-f]{40,}/, 'x'));
  // Parts come in any order.
  kinds.splice(1, 3, ...kinds.slice(1, 4).sort());
  assert.deepEqual(kinds, [
    `PUT models/${BASE}/blobs/x`,
    ...[1, 2, 3].map((part) => `PUT models/${BASE}/blobs/x part ${part}`),
    `PUT models/${BASE}/snapshots/x.json`,
    `PUT models/${BASE}/refs/main`,
  ]);
  assert.equal(lines.length, 1);
  assert.match(
    lines[0] ?? '',
    /^info org\/whisper-made@c0c0\S+: stored 16\.8 MB in the bucket models at http/,
  );
  const target = await temporaryFolder(t);
  await sourceOf(bucket).fetch(target);
  assert.ok((await contents(target))[WEIGHTS]);
  // No claim and no upload is left.
  assert.equal(server.objects.size, 4);
  assert.equal(server.uploads.size, 0);
});

test('what is there is not stored again, and nothing at all where the manifest is', async (t) => {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings());
  const model = await makeModel(await temporaryFolder(t));
  await storeModel(bucket, model);
  const manifest = [...server.objects.keys()].find((key) => key.endsWith('.json')) ?? '';
  server.objects.delete(manifest);
  server.requests.length = 0;
  const first = startSync(t, bucket);
  first.sync.add(model);
  await first.sync.done();
  assert.deepEqual(
    uploaded(server).map((line) => line.split('/').at(-1)),
    [`${COMMIT}.json`, 'main'],
  );
  server.requests.length = 0;
  const second = startSync(t, bucket);
  second.sync.add(model);
  await second.sync.done();
  assert.deepEqual(server.requests, [`HEAD ${manifest}`]);
  assert.deepEqual(second.lines, []);
});

test('a damaged file is not stored', async (t) => {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings());
  const model = await makeModel(await temporaryFolder(t));
  const files = [{ path: 'model.safetensors', sha256: WEIGHTS }];
  await writeFile(join(model.folder, 'voxpod.json'), JSON.stringify({ files }));
  await appendFile(join(model.folder, 'model.safetensors'), 'x');
  const { sync, lines } = startSync(t, bucket);
  sync.add(model);
  await sync.done();
  assert.match(lines.join(), /^warn org\/\S+ was not stored in the bucket .* it is damaged/);
  assert.equal(server.objects.size, 0);
});

test('a bucket that refuses is one warning, and no error', async (t) => {
  const server = await startRangeServer(t);
  server.fault = () => ({ status: 403, code: 'AccessDenied' });
  const { sync, lines } = startSync(t, openBucket(t, server.settings()));
  sync.add(await makeModel(await temporaryFolder(t)));
  await sync.done();
  assert.equal(lines.length, 1);
  assert.match(
    lines[0] ?? '',
    /^warn .* was not stored in the bucket .* refused the key\. Check AWS_ACCESS_KEY_ID/,
  );
});

test('while jobs run nothing is sent; when they end it goes on', async (t) => {
  const server = await startRangeServer(t);
  let open = (): void => undefined;
  let gate: Promise<void> | undefined;
  let parts = 0;
  server.fault = ({ query }) => {
    if (query.has('partNumber') && (parts += 1) === 2) {
      gate = new Promise((resolve) => (open = resolve));
    }
    return undefined;
  };
  const { sync } = startSync(t, openBucket(t, server.settings()), { idle: async () => gate });
  sync.add(await makeModel(await temporaryFolder(t), LARGE_BYTES));
  while (gate === undefined) await sleep(10);
  // Those on their way arrive: three at a time.
  await sleep(500);
  const sofar = parts;
  assert.ok(sofar <= 5, `${sofar} parts`);
  await sleep(500);
  assert.equal(parts, sofar);
  open();
  await sync.done();
  assert.equal(parts, 12);
  assert.ok(server.objects.has(`models/${BASE}/refs/main`));
});

test('a worker that ends stops at once, and the next one goes on', async (t) => {
  const server = await startRangeServer(t);
  const model = await makeModel(await temporaryFolder(t), LARGE_BYTES);
  server.delayMs = 50;
  const first = startSync(t, openBucket(t, server.settings()));
  first.sync.add(model);
  const stored = (): number => [...server.uploads.values()][0]?.parts.size ?? 0;
  while (stored() < 3) await sleep(10);
  await first.sync.dispose();
  assert.deepEqual(first.lines, []);
  const there = stored();
  server.received = 0;
  const second = startSync(t, openBucket(t, server.settings()));
  second.sync.add(model);
  await second.sync.done();
  assert.match(second.lines.join(), /^info .* stored/);
  assert.ok(server.received < LARGE_BYTES - there * 8 * 2 ** 20 + 100_000);
});

for (const { name, conditions } of [
  { name: 'a server that knows conditional writes', conditions: true },
  { name: 'one that takes no notice of them', conditions: false },
]) {
  test(`ten workers that start at once store a model once, at ${name}`, async (t) => {
    const server = await startRangeServer(t);
    if (!conditions) {
      server.fault = ({ request }) => {
        delete request.headers['if-none-match'];
        delete request.headers['if-match'];
        return undefined;
      };
    }
    const folder = await temporaryFolder(t);
    const model = await makeModel(folder);
    const workers = Array.from({ length: 10 }, () =>
      startSync(t, openBucket(t, server.settings()), { settleMs: 1500 }),
    );
    for (const { sync } of workers) sync.add(model);
    for (const { sync } of workers) await sync.done();
    assert.equal(uploaded(server).filter((line) => line.includes(' part ')).length, 3);
    const lines = workers.flatMap((worker) => worker.lines);
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.ok(![...server.objects.keys()].some((key) => key.includes('/uploads/')));
  });
}

test('a model stored on a real S3 server is read again, and no upload is left', async (t) => {
  const s3 = needS3(s3Server, t);
  if (!s3) return;
  const settings = { ...(await s3.createBucket()), prefix: 'pods' };
  const bucket = openBucket(t, settings);
  const model = await makeModel(await temporaryFolder(t));
  const { signal } = new AbortController();
  const workers = [startSync(t, bucket), startSync(t, openBucket(t, settings))];
  for (const { sync } of workers) sync.add(model);
  for (const { sync } of workers) await sync.done();
  assert.equal(workers.flatMap(({ lines }) => lines).length, 1);
  const listing = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: 'pods/' });
  const { Contents = [] } = await bucket.call(
    { doing: 'Listing', key: 'pods/' },
    signal,
    (client, abortSignal) => client.send(listing, { abortSignal }),
  );
  assert.deepEqual(
    Contents.map(({ Key = '' }) => Key.replace(/[0-9a-f]{64}/, 'x')),
    [
      ...[1, 2, 3].map(() => `pods/${BASE}/blobs/x`),
      `pods/${BASE}/refs/main`,
      `pods/${BASE}/snapshots/${COMMIT}.json`,
    ],
  );
  assert.deepEqual(await listUploads(bucket, 'pods/', signal), []);
  const target = await temporaryFolder(t);
  await sourceOf(bucket).fetch(target);
  assert.ok((await contents(target))[WEIGHTS]);
});

function startTransfer(
  t: TestContext,
  task: 'up' | 'down',
  settings: BucketSettings,
  folder: string,
) {
  const script = fileURLToPath(new URL('./transfer_process.js', import.meta.url));
  const child = spawn(process.execPath, [script, task, JSON.stringify(settings), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  return { child, ended, output: () => output };
}

async function killWhen(child: ChildProcess, condition: () => boolean): Promise<void> {
  while (!condition() && child.exitCode === null) await sleep(2);
  assert.equal(child.exitCode, null, 'it ended before it could be killed');
  child.kill('SIGKILL');
}

test('a download killed with -9 in its middle goes on: no part is served twice', async (t) => {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings());
  const model = await makeModel(await temporaryFolder(t), LARGE_BYTES);
  await storeModel(bucket, model);
  const target = await temporaryFolder(t);
  // The last six parts are not served, so that the first six are there when it is killed.
  const half = LARGE_BYTES / 2;
  server.fault = ({ range }) =>
    range && range.from >= half ? { after: 1000, then: 'stall' } : undefined;
  const first = startTransfer(t, 'down', server.settings(), target);
  const written = (): number => Number(first.output().trim().split('\n').at(-1));
  await killWhen(first.child, () => written() >= half);
  await first.ended;
  assert.ok((await readdir(target)).some((name) => name.endsWith('.parts')));
  server.fault = () => undefined;
  server.sent = 0;
  const second = startTransfer(t, 'down', server.settings(), target);
  assert.equal(await second.ended, 0);
  for (const [name, digest] of Object.entries(await contents(target))) assert.equal(name, digest);
  // It may be killed between the last byte of a part and the note of it.
  assert.ok(server.sent < half + 9 * 2 ** 20, `${server.sent} bytes the second time`);
  t.diagnostic(`${server.sent} of ${LARGE_BYTES} bytes were served the second time`);
});

test('an upload killed with -9 in its middle goes on with the parts that are there', async (t) => {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings());
  const model = await makeModel(await temporaryFolder(t), LARGE_BYTES);
  const stored = (): number => [...server.uploads.values()][0]?.parts.size ?? 0;
  server.delayMs = 30;
  const first = startTransfer(t, 'up', server.settings(), model.folder);
  await killWhen(first.child, () => stored() >= 6);
  await first.ended;
  const there = stored();
  // Nobody sees anything of it.
  const { source, context } = sourceOf(bucket);
  await assert.rejects(source.list(context), { code: 'MODEL_NOT_FOUND' });
  // The claim of the dead is respected until it is old.
  const early = startTransfer(t, 'up', server.settings(), model.folder);
  assert.equal(await early.ended, 0);
  assert.equal(early.output(), '');
  await sleep(3000);
  server.received = 0;
  const second = startTransfer(t, 'up', server.settings(), model.folder);
  assert.equal(await second.ended, 0);
  assert.match(second.output(), /stored/);
  const missing = LARGE_BYTES - there * 8 * 2 ** 20;
  assert.ok(server.received < missing + 100_000, `${server.received} bytes the second time`);
  t.diagnostic(`${server.received} of ${LARGE_BYTES} bytes were sent the second time`);
  assert.equal(server.uploads.size, 0);
  const target = await temporaryFolder(t);
  await sourceOf(bucket).fetch(target);
  for (const [name, digest] of Object.entries(await contents(target))) assert.equal(name, digest);
});
