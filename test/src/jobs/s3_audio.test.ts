import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { VoxpodError } from '../../../lib/errors.js';
import { fetchAudio, type AudioInputOptions } from '../../../src/jobs/audio_input.js';
import { JobBuckets } from '../../../src/jobs/job_bucket.js';
import { Bucket } from '../../../src/storage/bucket.js';
import {
  readBucketEnvironment,
  type BucketSettings,
} from '../../../src/storage/bucket_environment.js';
import { startFaultyS3, type Fate } from '../storage/faulty_s3.js';
import { needS3, startS3Server } from '../storage/s3_server.js';

const server = await startS3Server();
const never = new AbortController().signal;
const BYTES = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));

function options(
  settings: BucketSettings,
  limits: AudioInputOptions['limits'] = {},
): AudioInputOptions {
  const buckets = new JobBuckets({
    environment: { settings, notes: [] },
    allowRequestS3: false,
    allowPrivateUrls: false,
  });
  return { allowPrivateUrls: false, buckets, limits };
}

async function failure(work: Promise<unknown>, settings?: BucketSettings): Promise<VoxpodError> {
  const error: unknown = await work.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof VoxpodError, String(error));
  const shown = inspect(error, { depth: 20, showHidden: true });
  for (const secret of Object.values(settings?.credentials ?? {})) {
    assert.ok(!shown.includes(secret), shown);
  }
  return error;
}

test('an object of the bucket is read, in memory or through a temporary file', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = { ...(await s3.createBucket()), prefix: 'pods' };
  await new Bucket(settings).put('pods/a b+%20ü.wav', BYTES);
  const audio = `s3://${settings.bucket}/pods/a b+%20ü.wav`;
  const inMemory = await fetchAudio({ audio }, options(settings), never);
  assert.deepEqual(inMemory.source, BYTES);
  await inMemory.dispose();

  const inFile = await fetchAudio({ audio }, options(settings, { maxMemoryBytes: 1000 }), never);
  assert.ok(typeof inFile.source === 'string');
  assert.deepEqual(readFileSync(inFile.source), BYTES);
  await inFile.dispose();
  assert.equal(existsSync(inFile.source), false);
});

test('only the bucket of the worker is read, and of it only what is below its prefix', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = { ...(await s3.createBucket()), prefix: 'pods' };
  const other = await s3.createBucket();
  const { bucket } = settings;
  // Those credentials open all of these.
  await new Bucket(other).put('pods/a.wav', BYTES);
  for (const key of ['a.wav', 'podsecrets/a.wav', 'pods/a.wav']) {
    await new Bucket(settings).put(key, BYTES);
  }
  for (const audio of [
    `s3://${other.bucket}/pods/a.wav`,
    `S3://${other.bucket}/pods/a.wav`,
    `s3://${bucket}/a.wav`,
    `s3://${bucket}/podsecrets/a.wav`,
    `s3://${bucket}/pods/../a.wav`,
    `s3://${bucket}/pods//a.wav`,
    `s3://${bucket}/pods/`,
    `s3://${bucket}/pods/a\n.wav`,
    `s3://${bucket}//pods/a.wav`,
    `s3://${bucket}`,
    `s3://${bucket}/`,
    's3:pods/a.wav',
    's3://',
  ]) {
    const error = await failure(fetchAudio({ audio }, options(settings), never), settings);
    assert.equal(error.code, 'URL_FORBIDDEN', `${audio}: ${error.message}`);
  }
  const read = await fetchAudio({ audio: `s3://${bucket}/pods/a.wav` }, options(settings), never);
  assert.deepEqual(read.source, BYTES);
});

test('without a bucket the missing variables are named', async () => {
  const buckets = new JobBuckets({
    environment: readBucketEnvironment({ VOXPOD_S3_BUCKET: 'speech' }),
    allowRequestS3: false,
    allowPrivateUrls: false,
  });
  const audio = 's3://speech/a.wav';
  const error = await failure(fetchAudio({ audio }, { allowPrivateUrls: false, buckets }, never));
  assert.equal(error.code, 'BUCKET_NOT_CONFIGURED');
  assert.match(error.message, /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set/);
  const none = await failure(fetchAudio({ audio }, { allowPrivateUrls: false }, never));
  assert.equal(none.code, 'BUCKET_NOT_CONFIGURED');
});

test('the limits are those of a URL', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  await new Bucket(settings).put('a.wav', BYTES);
  const rows: [Fate, AudioInputOptions['limits'], string, RegExp][] = [
    ['pass', { maxBytes: 199_999 }, 'DOWNLOAD_TOO_LARGE', /a\.wav is larger than .* 199999 bytes/],
    ['silence', { stallMs: 200 }, 'DOWNLOAD_TIMEOUT', /sent nothing for 0\.2 s/],
    ['stall', { stallMs: 300 }, 'DOWNLOAD_TIMEOUT', /sent nothing for 0\.3 s/],
    ['stall', { totalMs: 300 }, 'DOWNLOAD_TIMEOUT', /longer than 0\.3 s/],
    ['cut', { maxMemoryBytes: 5 }, 'BUCKET_FAILED', /broke/],
    [{ status: 404, code: 'NoSuchKey' }, {}, 'BUCKET_FAILED', /no object a\.wav/],
  ];
  for (const [fate, limits, code, message] of rows) {
    const proxy = await startFaultyS3(t, () => fate, s3.url);
    const behind = { ...settings, endpoint: proxy.url };
    const audio = `s3://${settings.bucket}/a.wav`;
    const error = await failure(fetchAudio({ audio }, options(behind, limits), never), settings);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
  }
});

test('503 is tried again, and an abort ends it with its reason', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  await new Bucket(settings).put('a.wav', BYTES);
  const audio = `s3://${settings.bucket}/a.wav`;
  const slow: Fate = { status: 503, code: 'SlowDown' };
  const busy = await startFaultyS3(t, (_, count) => (count === 0 ? slow : 'pass'), s3.url);
  const again = options({ ...settings, endpoint: busy.url });
  assert.deepEqual((await fetchAudio({ audio }, again, never)).source, BYTES);
  assert.equal(busy.requests.length, 2);

  const stalled = await startFaultyS3(t, () => 'stall', s3.url);
  const controller = new AbortController();
  const behind = options({ ...settings, endpoint: stalled.url });
  const fetching = fetchAudio({ audio }, behind, controller.signal);
  setTimeout(() => controller.abort(new Error('stopped')), 200);
  await assert.rejects(fetching, /stopped/);
});
