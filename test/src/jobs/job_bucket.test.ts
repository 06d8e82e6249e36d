import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { VoxpodError } from '../../../lib/errors.js';
import { guardedLookup } from '../../../src/jobs/address_guard.js';
import { JobBuckets, storeOutput } from '../../../src/jobs/job_bucket.js';
import { bucketOverflow } from '../../../src/jobs/overflow.js';
import type { Job } from '../../../src/runpod/job.js';
import { Bucket } from '../../../src/storage/bucket.js';
import { readBucketEnvironment } from '../../../src/storage/bucket_environment.js';
import { startFaultyS3 } from '../storage/faulty_s3.js';
import { needS3, startS3Server } from '../storage/s3_server.js';

const server = await startS3Server();
const never = new AbortController().signal;

const S3_CONFIG = {
  accessId: 'AKIAOFTHEJOB',
  accessSecret: 'a-secret-of-the-job',
  bucketName: 'theirs',
  endpointUrl: 'https://s3.us-west-004.backblazeb2.com',
};

const job = (more: object = {}, input: unknown = { text: 'hi' }): Job => ({
  id: 'job-1',
  input,
  ...more,
});

/** Without the environment's bucket. */
const buckets = (options: { s3?: boolean; allowPrivate?: boolean } = {}): JobBuckets =>
  new JobBuckets({
    environment: readBucketEnvironment({}),
    allowRequestS3: options.s3 ?? false,
    allowPrivateUrls: options.allowPrivate ?? false,
  });

async function refusal(work: Promise<unknown>): Promise<VoxpodError> {
  const error: unknown = await work.then(
    () => assert.fail('it should have been refused'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof VoxpodError, String(error));
  assert.doesNotMatch(inspect(error, { depth: 20, showHidden: true }), /a-secret|AKIA/);
  return error;
}

test('a job that carries credentials is refused, whatever they are called', async () => {
  const rows: [Job, string][] = [
    [job({ s3Config: S3_CONFIG }), 's3Config'],
    [job({}, { s3Config: S3_CONFIG }), 'input.s3Config'],
    [job({}, { AWS_ACCESS_KEY_ID: 'AKIAOFTHEJOB' }), 'input.AWS_ACCESS_KEY_ID'],
    [job({}, { 'secret-access-key': 'a-secret' }), 'input.secret-access-key'],
    [job({ bucket_creds: { accessId: 'AKIAOFTHEJOB' } }), 'bucket_creds'],
    [job({}, { credentials: { user: 'a-secret' } }), 'input.credentials'],
  ];
  for (const [carrier, name] of rows) {
    const error = await refusal(buckets().forJob(carrier));
    assert.equal(error.code, 'CREDENTIALS_FORBIDDEN');
    assert.ok(error.message.includes(`(${name})`), error.message);
    assert.match(error.message, /Leave them out.*AWS_ACCESS_KEY_ID.*VOXPOD_ALLOW_REQUEST_S3=1/);
  }
  // Allowed is RunPod's field in RunPod's place, and nothing else.
  const inside = await refusal(buckets({ s3: true }).forJob(job({}, { s3Config: S3_CONFIG })));
  assert.equal(inside.code, 'CREDENTIALS_FORBIDDEN');
  assert.match(inside.message, /s3Config beside input/);
});

test('a job without credentials goes to the bucket of the environment, or to none', async () => {
  for (const plain of [
    job(),
    job({ s3Config: null, webhook: 'https://h' }, 'text'),
    job({ s3Config: {} }, { credentials: '', s3_config: null }),
    job({}, ['s3Config']),
  ]) {
    assert.equal(await buckets().forJob(plain), undefined);
  }
  const some = JobBuckets.fromEnvironment({
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'a-secret',
    VOXPOD_S3_BUCKET: 'speech',
  });
  assert.equal((await some.forJob(job()))?.name, 'speech');
  assert.equal(some.require('This').name, 'speech');
  assert.throws(() => buckets().require('Reading'), {
    code: 'BUCKET_NOT_CONFIGURED',
    message: /^Reading needs a bucket.*AWS_SECRET_ACCESS_KEY and VOXPOD_S3_BUCKET are not set/,
  });
});

test('VOXPOD_ALLOW_REQUEST_S3 counts when it is 1', async () => {
  for (const value of ['', '0', 'true']) {
    const strict = JobBuckets.fromEnvironment({ VOXPOD_ALLOW_REQUEST_S3: value });
    const error = await refusal(strict.forJob(job({ s3Config: S3_CONFIG })));
    assert.equal(error.code, 'CREDENTIALS_FORBIDDEN');
  }
  const open = JobBuckets.fromEnvironment({
    VOXPOD_ALLOW_REQUEST_S3: '1',
    VOXPOD_ALLOW_PRIVATE_URLS: '1',
  });
  const bucket = await open.forJob(job({ s3Config: { ...S3_CONFIG, objectPath: '/out/' } }));
  assert.equal(bucket?.name, 'theirs');
  assert.equal(bucket.prefix, 'out');
});

test('a wrong s3Config is refused by the name of what is wrong', async () => {
  const rows: [unknown, RegExp][] = [
    ['AKIAOFTHEJOB', /^s3Config /],
    [{ ...S3_CONFIG, accessSecret: 5 }, /^s3Config\.accessSecret /],
    [{ ...S3_CONFIG, accessId: '' }, /^s3Config\.accessId /],
    [{ ...S3_CONFIG, bucketName: 'a/../b' }, /^s3Config\.bucketName is no name/],
    [{ ...S3_CONFIG, bucketName: undefined }, /^s3Config\.bucketName /],
    [{ ...S3_CONFIG, endpointUrl: 'file:///etc' }, /^s3Config\.endpointUrl is no URL/],
    [{ ...S3_CONFIG, endpointUrl: 'https://a:a-secret@h' }, /endpointUrl holds a user name/],
    [{ ...S3_CONFIG, objectPath: '../up' }, /^s3Config\.objectPath has/],
  ];
  for (const [s3Config, message] of rows) {
    const error = await refusal(buckets({ s3: true }).forJob(job({ s3Config })));
    assert.equal(error.code, 'JOB_INVALID', error.message);
    assert.match(error.message, message);
  }
});

test('an endpoint of a job is a public one', async (t) => {
  for (const host of ['127.0.0.1', 'localhost', '169.254.169.254', '[::1]', '10.0.0.1']) {
    const s3Config = { ...S3_CONFIG, endpointUrl: `http://${host}:9000` };
    const error = await refusal(buckets({ s3: true }).forJob(job({ s3Config })));
    assert.equal(error.code, 'URL_FORBIDDEN');
    assert.match(error.message, /^s3Config\.endpointUrl: .*VOXPOD_ALLOW_PRIVATE_URLS=1/);
  }
  // And it is still one when the connection is made: a name may have changed its address by then.
  const { url, requests } = await startFaultyS3(t, () => ({ status: 200 }));
  const settings = readBucketEnvironment({
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'a-secret',
    VOXPOD_S3_BUCKET: 'speech',
    AWS_ENDPOINT_URL: url.replace('127.0.0.1', 'localhost'),
  }).settings;
  assert.ok(settings);
  const guarded = new Bucket(settings, { lookup: guardedLookup });
  for (const size of [1, 3_000_000]) {
    const error = await refusal(guarded.put('a.bin', Buffer.alloc(size)));
    assert.equal(error.code, 'URL_FORBIDDEN');
  }
  assert.equal(requests.length, 0);
  await new Bucket(settings).put('a.bin', 'x');
  assert.equal(requests.length, 1);
});

test('the bucket of a job is written to with the keys of the job', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const { bucket: bucketName } = await s3.createBucket();
  const s3Config = {
    accessId: s3.credentials.accessKeyId,
    accessSecret: s3.credentials.secretAccessKey,
    bucketName,
    endpointUrl: s3.url,
    objectPath: 'results',
  };
  const open = buckets({ s3: true, allowPrivate: true });
  const bucket = await open.forJob(job({ s3Config }));
  assert.ok(bucket);
  const before = Date.now();
  const stored = await storeOutput(bucket, {
    jobId: 'job-1',
    name: 'speech.wav',
    body: 'sound',
    contentType: 'audio/wav',
    expiresSeconds: 60,
  });
  assert.match(stored.url, new RegExp(`/${bucketName}/results/jobs/job-1/[^/]*-speech\\.wav\\?`));
  assert.equal(stored.bytes, 5);
  const lasts = stored.expiresAt.getTime() - before;
  assert.ok(lasts >= 60_000 && lasts < 90_000);
  assert.equal(await (await s3.open(stored.url)).text(), 'sound');

  const wrong = { ...s3Config, accessSecret: 'a-secret-of-nobody' };
  const refused = await open.forJob(job({ s3Config: wrong }));
  const error = await refusal(refused?.put('a', 'b') ?? Promise.resolve());
  assert.equal(error.code, 'BUCKET_FAILED');
  assert.match(error.message, /s3Config\.accessSecret/);
});

test('an output that is too large becomes a link to it', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  const overflow = bucketOverflow({
    buckets: new JobBuckets({
      environment: { settings, notes: [] },
      allowRequestS3: false,
      allowPrivateUrls: false,
    }),
    expiresSeconds: 3600,
  });
  const output = JSON.stringify({ text: 'Grüße '.repeat(1_000_000) });
  const result = await overflow(job(), output, never);
  assert.ok(typeof result === 'object' && result !== null);
  assert.deepEqual(Object.keys(result), ['result_url', 'bytes', 'expires_at']);
  const { result_url: url, bytes, expires_at: expires } = Object(result) as Record<string, unknown>;
  assert.equal(bytes, Buffer.byteLength(output));
  assert.match(String(expires), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Math.abs(Date.parse(String(expires)) - Date.now() - 3600_000) < 60_000);
  const response = await s3.open(String(url));
  assert.equal(response.headers.get('content-type'), 'application/json');
  assert.equal(await response.text(), output);
  const aborted = overflow(job(), output, AbortSignal.abort(new Error('stopped')));
  await assert.rejects(aborted, /stopped/);
});

test('without a bucket such an output is an error that says what to set', async () => {
  const overflow = bucketOverflow({ buckets: buckets(), maxResultBytes: 10 });
  const error = await refusal(Promise.resolve(overflow(job(), '"much too large"', never)));
  assert.equal(error.code, 'RESULT_TOO_LARGE');
  assert.match(
    error.message,
    /of 16 bytes is over RunPod's limit of 10 bytes.*AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and VOXPOD_S3_BUCKET are not set/,
  );
  // Smaller than what is known of the limit, and refused all the same.
  const small = await refusal(Promise.resolve(overflow(job(), '"small"', never)));
  assert.match(small.message, /of 7 bytes was refused by RunPod/);
  const carrier = job({ s3Config: S3_CONFIG });
  const forbidden = await refusal(Promise.resolve(overflow(carrier, '"much too large"', never)));
  assert.equal(forbidden.code, 'CREDENTIALS_FORBIDDEN');
});

test('the guarded look-up gives public addresses to whoever connects', async () => {
  // A literal needs no name server.
  const all = await new Promise((resolve, reject) => {
    guardedLookup('8.8.8.8', { all: true }, (error, found) =>
      error ? reject(error) : resolve(found),
    );
  });
  assert.deepEqual(all, [{ address: '8.8.8.8', family: 4 }]);
  const one = await new Promise((resolve, reject) => {
    guardedLookup('2606:4700::1111', {}, (error, address, family) =>
      error ? reject(error) : resolve([address, family]),
    );
  });
  assert.deepEqual(one, ['2606:4700::1111', 6]);
});
