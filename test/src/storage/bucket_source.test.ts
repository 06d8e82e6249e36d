import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { downloadFile } from '../../../src/storage/http_download.js';
import { startFaultyS3, type Fate } from './faulty_s3.js';
import { LocalHub } from './local_hub.js';
import { needS3, startS3Server } from './s3_server.js';
import {
  assertWhole,
  COMMIT,
  contents,
  failsWith,
  madeBytes,
  makeModel,
  openBucket,
  PART,
  prepare,
  REPOSITORY,
  sourceOf,
  startRangeServer,
  storeModel,
  WEIGHTS,
  WEIGHTS_BYTES,
} from './stored_model.js';
import { temporaryFolder } from './temporary.js';

const s3Server = await startS3Server();
test('a stored model is fetched whole, each byte once', async (t) => {
  const { server, bucket, target } = await prepare(t);
  const { source, context, progress, fetch } = sourceOf(bucket);
  const listing = await source.list(context);
  assert.equal(source.kind, 's3');
  assert.deepEqual(
    listing.files.map(({ path, size }) => `${path} ${size}`),
    ['config.json 24', 'empty.txt 0', `model.safetensors ${WEIGHTS_BYTES}`],
  );
  server.sent = 0;
  await fetch(target);
  await assertWhole(target);
  assert.equal(server.ranges().length, 4);
  assert.equal(progress.at(-1), WEIGHTS_BYTES + 24);
});

test('over TLS, which hands over bytes in pieces of its own', async (t) => {
  const tls = await certificate(t);
  if (tls === undefined) return t.skip('there is no openssl to make a certificate with');
  // Read by the sockets of this process alone.
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  t.after(() => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
  const server = await startRangeServer(t, { tls });
  const folder = await temporaryFolder(t);
  const bucket = openBucket(t, server.settings());
  await storeModel(bucket, await makeModel(join(folder, 'cache')));
  const target = await temporaryFolder(t);
  await sourceOf(bucket).fetch(target);
  await assertWhole(target);
});

test('a real S3 server takes the signatures, and says what is wrong', async (t) => {
  const s3 = needS3(s3Server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  const folder = await temporaryFolder(t);
  const bucket = openBucket(t, { ...settings, prefix: 'a/b' });
  const none = sourceOf(bucket);
  await assert.rejects(
    none.source.list(none.context),
    failsWith(
      'MODEL_NOT_FOUND',
      /the bucket test-\S+ at http:\S+ does not hold org\/whisper-made@main/,
    ),
  );
  await storeModel(bucket, await makeModel(join(folder, 'cache')));
  // Before it: a range that had to be asked for again by the SDK would not show.
  const watched = await startFaultyS3(t, () => 'pass', s3.url);
  const target = await temporaryFolder(t);
  const watchedBucket = openBucket(t, { ...settings, prefix: 'a/b', endpoint: watched.url });
  await sourceOf(watchedBucket).fetch(target);
  await assertWhole(target);
  const ranges = watched.requests.filter(({ headers }) => headers.range !== undefined);
  assert.equal(ranges.length, 4);
  assert.ok(ranges.every(({ headers }) => headers['if-match'] !== undefined));

  const { credentials } = settings;
  const wrong = openBucket(t, {
    ...settings,
    credentials: { ...credentials, secretAccessKey: 'not-the-secret-at-all' },
  });
  await assert.rejects(
    sourceOf(wrong).fetch(target),
    failsWith('BUCKET_FAILED', /refused the signature\. Check AWS_SECRET_ACCESS_KEY/),
  );
});

for (const { name, fate, message } of [
  {
    name: 'unknown keys',
    fate: { status: 403, code: 'InvalidAccessKeyId' },
    message: /does not know the key\. Check AWS_ACCESS_KEY_ID/,
  },
  {
    name: 'another region',
    fate: {
      status: 301,
      code: 'PermanentRedirect',
      headers: { 'x-amz-bucket-region': 'eu-west-3' },
    },
    message: /is not in the region us-east-1\. Set AWS_REGION to eu-west-3/,
  },
  {
    name: 'a wrong clock',
    fate: { status: 403, code: 'RequestTimeTooSkewed' },
    message: /the clock of this machine \(.*\) is wrong/,
  },
  {
    name: 'a server that is down',
    fate: { status: 503, code: 'SlowDown' },
    message: /answered with HTTP 503 2 times\. Try again later/,
  },
] satisfies { name: string; fate: Fate; message: RegExp }[]) {
  test(`${name}: the source says so`, async (t) => {
    const { url } = await startFaultyS3(t, () => fate);
    const { bucket: name, ...settings } = { ...baseSettings(), endpoint: url };
    const bucket = openBucket(t, { bucket: name, ...settings }, { attempts: 2 });
    const { source, context } = sourceOf(bucket);
    await assert.rejects(source.list(context), failsWith('BUCKET_FAILED', message));
  });
}

test('no server at the endpoint: the source says so', async (t) => {
  const bucket = openBucket(t, baseSettings(), { attempts: 1 });
  const { source, context } = sourceOf(bucket);
  await assert.rejects(
    source.list(context),
    failsWith(
      'BUCKET_FAILED',
      /http:\/\/127\.0\.0\.1:9 cannot be reached\. Check AWS_ENDPOINT_URL/,
    ),
  );
});

test('a manifest that names files outside of its folder, or parts that do not fit, is refused', async (t) => {
  const { server, bucket } = await prepare(t);
  const key = [...server.objects.keys()].find((name) => name.endsWith('.json')) ?? '';
  const text = server.text(key) ?? '';
  for (const [from, to] of [
    ['"config.json"', '"../config.json"'],
    ['"config.json"', '"lib/../../config.json"'],
    ['"config.json"', '"/lib/config.json"'],
    ['"offset": 8388608', '"offset": 8388600'],
    ['"repository"', '"repo'],
  ]) {
    server.put(key, Buffer.from(text.replace(from ?? '', to ?? '')));
    const { source, context } = sourceOf(bucket);
    await assert.rejects(
      source.list(context),
      failsWith('DOWNLOAD_FAILED', /is no manifest that voxpod wrote/),
      to,
    );
  }
});

test('an aborted download leaves its parts, and the next one fetches the others', async (t) => {
  const { server, bucket, target } = await prepare(t);
  const controller = new AbortController();
  server.fault = ({ key, range }) =>
    key.includes(WEIGHTS) && range?.from === 0 ? { after: 1000, then: 'stall' } : undefined;
  const reason = new Error('enough');
  const { fetch, context } = sourceOf(bucket, { signal: controller.signal });
  context.onProgress = (bytes) => {
    if (bytes >= WEIGHTS_BYTES - PART) setTimeout(() => controller.abort(reason), 300);
  };
  await assert.rejects(fetch(target), reason);
  server.fault = () => undefined;
  server.requests.length = 0;
  await sourceOf(bucket).fetch(target);
  await assertWhole(target);
  assert.deepEqual(
    server.ranges().map((line) => line.split(' ').at(-1)),
    [`0-${PART - 1}`],
  );
});

test('the beginning that another source left is used, as far as it is right', async (t) => {
  const { server, bucket, target } = await prepare(t);
  const beginning = Buffer.from(madeBytes(WEIGHTS_BYTES).subarray(0, 2 * PART + 100));
  beginning.writeUInt8(beginning.readUInt8(9) ^ 1, 9);
  await writeFile(join(target, WEIGHTS), beginning);
  await sourceOf(bucket).fetch(target);
  await assertWhole(target);
  assert.deepEqual(
    server
      .ranges()
      .filter((line) => line.includes(WEIGHTS))
      .map((line) => line.split(' ').at(-1))
      .sort(),
    [`0-${PART - 1}`, `${2 * PART}-${WEIGHTS_BYTES - 1}`],
  );
});

test('what a failed download leaves, a download of another kind goes on from', async (t) => {
  const { server, bucket, target } = await prepare(t);
  const { fetch, context } = sourceOf(bucket, { attempts: 50 });
  let others = false;
  context.onProgress = (bytes) => {
    // A while later, when the notes are taken, too.
    if (bytes >= 2 * PART) setTimeout(() => (others = true), 200);
  };
  server.fault = ({ key, range }) => {
    if (!key.includes(WEIGHTS) || range?.from !== 2 * PART) return undefined;
    return others ? { status: 403, code: 'AccessDenied' } : { after: 0, then: 'cut' };
  };
  await assert.rejects(fetch(target), failsWith('BUCKET_FAILED', /may not do this/));
  const beginning = await readFile(join(target, WEIGHTS));
  assert.ok(beginning.equals(madeBytes(WEIGHTS_BYTES).subarray(0, 2 * PART)));
  assert.deepEqual(Object.keys(await contents(target)).length, 3);
  const hub = new LocalHub();
  const url = await hub.listen();
  t.after(() => hub.close());
  const files = new Map([['model.safetensors', madeBytes(WEIGHTS_BYTES)]]);
  hub.repositories.set(REPOSITORY, { commit: COMMIT, files });
  await downloadFile({
    url: `${url}/${REPOSITORY}/resolve/${COMMIT}/model.safetensors`,
    destination: join(target, WEIGHTS),
    size: WEIGHTS_BYTES,
    digest: { algorithm: 'sha256', hex: WEIGHTS },
  });
  assert.deepEqual(hub.transfers(), [
    `GET /${REPOSITORY}/resolve/${COMMIT}/model.safetensors bytes=${2 * PART}-`,
  ]);
});

test('a full disk is told by its code', async (t) => {
  const { bucket } = await prepare(t);
  const full = await smallDisk(t);
  if (full === undefined) return t.skip('no file system of a limited size can be mounted here');
  await assert.rejects(
    sourceOf(bucket).fetch(full),
    failsWith('DISK_FULL', /No space left for writing/),
  );
});

function baseSettings() {
  return {
    ...{ bucket: 'models', prefix: '', endpoint: 'http://127.0.0.1:9', region: 'us-east-1' },
    pathStyle: true,
    credentials: { accessKeyId: 'AKIANOBODYATALL', secretAccessKey: 'a-secret-of-nobody' },
    source: 'environment' as const,
  };
}

async function certificate(t: TestContext): Promise<{ key: string; cert: string } | undefined> {
  const folder = await temporaryFolder(t);
  const made = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', '/CN=localhost', '-days', '2', '-keyout', 'key.pem', '-out', 'cert.pem'],
    ],
    { cwd: folder },
  );
  if (made.status !== 0) return undefined;
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  return { key: await read('key.pem'), cert: await read('cert.pem') };
}

async function smallDisk(t: TestContext): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'voxpod-test-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', folder]);
  t.after(async () => {
    spawnSync('umount', [folder]);
    await rmdir(folder);
  });
  return mounted.status === 0 ? folder : undefined;
}
