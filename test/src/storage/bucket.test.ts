import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { VoxpodError } from '../../../lib/errors.js';
import { Bucket, MAX_LINK_SECONDS, type BucketOptions } from '../../../src/storage/bucket.js';
import type { BucketSettings } from '../../../src/storage/bucket_environment.js';
import { startFaultyS3, type Fate } from './faulty_s3.js';
import { needS3, startS3Server } from './s3_server.js';

const server = await startS3Server();

/** Settings for servers that look at no key. */
const ANYBODY: BucketSettings = {
  bucket: 'speech',
  prefix: '',
  endpoint: 'http://127.0.0.1:1',
  region: 'us-east-1',
  pathStyle: true,
  credentials: {
    accessKeyId: 'AKIANOBODYATALL',
    secretAccessKey: 'a-secret-key-that-must-not-show',
    sessionToken: 'a-token-that-must-not-show',
  },
  source: 'environment',
};

/** Nothing that leaves the bucket may hold a key, however it is looked at. */
function assertClean(error: unknown, settings: BucketSettings): asserts error is VoxpodError {
  assert.ok(error instanceof VoxpodError, String(error));
  const shown = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error);
  for (const secret of Object.values(settings.credentials)) {
    assert.ok(!shown.includes(secret), `${secret} in ${shown}`);
  }
  assert.doesNotMatch(shown, /AWS4-HMAC|Signature=/);
}

async function failure(
  settings: BucketSettings,
  work: (bucket: Bucket) => Promise<unknown>,
  options?: BucketOptions,
): Promise<VoxpodError> {
  const bucket = new Bucket(settings, options);
  const error: unknown = await work(bucket).then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assertClean(error, settings);
  assert.equal(error.code, 'BUCKET_FAILED', error.message);
  await bucket.dispose();
  return error;
}

async function read(bucket: Bucket, key: string): Promise<Buffer> {
  const object = await bucket.get(key);
  const chunks: Uint8Array[] = [];
  for await (const chunk of object.body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  assert.equal(object.bytes, bytes.length);
  return bytes;
}

const put = (bucket: Bucket): Promise<void> => bucket.put('a.txt', 'text');

test('what is stored is read again: text, bytes, nothing, and more than a few chunks', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const bucket = new Bucket(await s3.createBucket());
  t.after(() => bucket.dispose());
  const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7) % 251));
  for (const body of ['Grüße', Uint8Array.of(0, 255, 1), '', large]) {
    const key = bucket.keyFor('job-1', 'out.bin');
    await bucket.put(key, body);
    assert.deepEqual(await read(bucket, key), Buffer.from(body));
  }
});

test('a link opens the object for anyone, as the type it was stored with', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const bucket = new Bucket({ ...(await s3.createBucket()), prefix: 'pods' });
  t.after(() => bucket.dispose());
  const key = bucket.keyFor('job-1', 'speech.mp3');
  await bucket.put(key, 'sound', { contentType: 'audio/mpeg' });
  const link = new URL(await bucket.presignedUrl(key));
  assert.equal(link.searchParams.get('X-Amz-Expires'), '604800');
  const response = await s3.open(link.href);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'audio/mpeg');
  assert.equal(await response.text(), 'sound');
  // Without its signature it opens nothing.
  assert.equal((await s3.open(link.origin + link.pathname)).status, 403);
  const short = new URL(await bucket.presignedUrl(key, { expiresSeconds: 60 }));
  assert.equal(short.searchParams.get('X-Amz-Expires'), '60');
  for (const expiresSeconds of [0, 0.5, MAX_LINK_SECONDS + 1, NaN]) {
    await assert.rejects(bucket.presignedUrl(key, { expiresSeconds }), {
      code: 'INVALID_ARGUMENT',
    });
  }
});

test('keys are made of safe parts and cannot be guessed, and no other leaves its place', async () => {
  const bucket = new Bucket({ ...ANYBODY, prefix: 'pods/one' });
  const ids = ['sync-1f-u1', '../../etc', 'a/b\\c', '', '.', '...', 'x'.repeat(500), 'é\n'];
  const keys = ids.map((id) => bucket.keyFor(id, '../speech.mp3'));
  for (const key of keys) {
    assert.match(key, /^pods\/one\/jobs\/[\w-][\w.-]*\/[0-9a-f-]{36}-__speech\.mp3$/);
    assert.doesNotMatch(key, /\.\./);
    assert.ok(key.length < 250);
  }
  assert.notEqual(bucket.keyFor('a', 'b'), bucket.keyFor('a', 'b'));
  for (const key of ['', '../a', 'a/../b', 'a//b', '/a', 'a/', './a', 'a\n', 'x'.repeat(1025)]) {
    for (const call of [bucket.put(key, ''), bucket.get(key), bucket.presignedUrl(key)]) {
      await assert.rejects(call, { code: 'INVALID_ARGUMENT' }, key);
    }
  }
});

test('a wrong key, a wrong secret, no bucket and no object each say so', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  const { credentials } = settings;
  const rows: [Partial<BucketSettings>, (bucket: Bucket) => Promise<unknown>, RegExp][] = [
    [
      { credentials: { ...credentials, accessKeyId: 'AKIANOBODYATALL' } },
      put,
      /does not know the key\. Check AWS_ACCESS_KEY_ID/,
    ],
    [
      { credentials: { ...credentials, secretAccessKey: 'not-the-secret-of-this-key' } },
      put,
      /refused the signature\. Check AWS_SECRET_ACCESS_KEY, and AWS_REGION, which is us-east-1/,
    ],
    [
      { credentials: { ...credentials, secretAccessKey: 'not-the-secret-of-this-key' } },
      (bucket) => bucket.get('a.txt'),
      /^Reading .*refused the signature/,
    ],
    [{ bucket: 'nobodys' }, put, /no bucket nobodys .*VOXPOD_S3_BUCKET and AWS_ENDPOINT_URL/],
    [{}, (bucket) => bucket.get('none.txt'), /no object none\.txt in the bucket test-/],
  ];
  for (const [change, work, message] of rows) {
    const error = await failure({ ...settings, ...change }, work);
    assert.match(error.message, message);
  }
  // The same words with the names that a job has for them.
  const error = await failure({ ...settings, bucket: 'nobodys', source: 'job' }, put);
  assert.match(error.message, /s3Config\.bucketName and s3Config\.endpointUrl/);
});

test('an endpoint that is not there, or does not speak S3 or TLS, is named', async (t) => {
  const silent = await startFaultyS3(t, () => 'silence');
  const page = await startFaultyS3(t, () => ({ status: 200, headers: {}, code: 'Hello' }));
  const quick = { attempts: 1 };
  const rows: [string, BucketOptions, RegExp][] = [
    ['http://127.0.0.1:1', quick, /127\.0\.0\.1:1 cannot be reached\. Check AWS_ENDPOINT_URL/],
    ['http://no-such-host.invalid', quick, /cannot be reached/],
    [silent.url, { ...quick, stallMs: 200 }, /did not answer in time/],
    [page.url.replace('http', 'https'), quick, /no secure connection.*https or http/],
  ];
  for (const [endpoint, options, message] of rows) {
    const error = await failure({ ...ANYBODY, endpoint }, put, options);
    assert.match(error.message, message);
  }
  const slow = await failure({ ...ANYBODY, endpoint: silent.url }, put, { totalMs: 200 });
  assert.match(slow.message, /took longer than 0\.2 s/);
});

test('each refusal of a server has its advice', async (t) => {
  const rows: [Fate, RegExp][] = [
    [{ status: 403, code: 'AccessDenied' }, /may not do this in the bucket speech/],
    [{ status: 403 }, /refused the key|may not do this/],
    [{ status: 403, code: 'RequestTimeTooSkewed' }, /the clock of this machine \(20.* is wrong/],
    [{ status: 400, code: 'ExpiredToken' }, /session has ended.*AWS_SESSION_TOKEN/],
    [
      {
        status: 301,
        code: 'PermanentRedirect',
        headers: { 'x-amz-bucket-region': 'eu-west-1' },
      },
      /not in the region us-east-1\. Set AWS_REGION to eu-west-1/,
    ],
    [
      {
        status: 400,
        code: 'AuthorizationHeaderMalformed',
        message: "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
      },
      /Set AWS_REGION to eu-west-1/,
    ],
    [
      { status: 400, code: 'AuthorizationHeaderMalformed', xml: '<Region>eu-west-3</Region>' },
      /Set AWS_REGION to eu-west-3/,
    ],
    [{ status: 301 }, /Set AWS_REGION to the bucket's region/],
    [
      { status: 501, code: 'NotImplemented', message: 'A header you provided' },
      /HTTP 501 once\. Try again later \(NotImplemented: A header you provided\)/,
    ],
    [
      { status: 400, code: 'Odd', message: 'AKIANOBODYATALL a-secret-key-that-must-not-show' },
      /HTTP 400 \(Odd: \*\*\* \*\*\*\)/,
    ],
  ];
  for (const [fate, message] of rows) {
    const { url } = await startFaultyS3(t, () => fate);
    const error = await failure({ ...ANYBODY, endpoint: url }, put, { attempts: 1 });
    assert.match(error.message, message);
  }
});

test('503 and a broken connection are tried again, and not for ever', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  const slow = { status: 503, code: 'SlowDown' };
  for (const fault of [slow, { status: 500 }, { status: 429, code: 'SlowDown' }]) {
    const proxy = await startFaultyS3(t, (_, count) => (count < 2 ? fault : 'pass'), s3.url);
    const bucket = new Bucket({ ...settings, endpoint: proxy.url });
    const body = Buffer.alloc(100_000, JSON.stringify(fault));
    await bucket.put('a.txt', body);
    assert.equal(proxy.requests.length, 3);
    assert.deepEqual(await read(bucket, 'a.txt'), body);
    await bucket.dispose();
  }
  const never = await startFaultyS3(t, () => slow);
  const error = await failure({ ...ANYBODY, endpoint: never.url }, put, { attempts: 3 });
  assert.match(error.message, /answered with HTTP 503 3 times\. Try again later \(SlowDown/);
  assert.equal(never.requests.length, 3);
});

test('a body that stops or breaks is an error where it is read', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  const origin = new Bucket(settings);
  await origin.put('a.txt', 'x'.repeat(100_000));
  await origin.dispose();
  for (const [fate, message] of [
    ['stall', /did not answer in time/],
    ['cut', /connection to .* broke/],
  ] as const) {
    const proxy = await startFaultyS3(t, () => fate, s3.url);
    const broken = { ...settings, endpoint: proxy.url };
    const error = await failure(broken, (bucket) => read(bucket, 'a.txt'), { stallMs: 300 });
    assert.match(error.message, message);
  }
});

test('a wrong clock is set right by what the server says, for links too', async (t) => {
  const ahead = 3 * 3600_000;
  const { url, requests } = await startFaultyS3(t, (_request, count) => ({
    status: count === 0 ? 403 : 200,
    ...(count === 0 ? { code: 'RequestTimeTooSkewed' } : {}),
    headers: { date: new Date(Date.now() + ahead).toUTCString() },
  }));
  const bucket = new Bucket({ ...ANYBODY, endpoint: url });
  await bucket.put('a.txt', 'text');
  assert.equal(requests.length, 2);
  const times = [
    String(requests[1]?.headers['x-amz-date']),
    new URL(await bucket.presignedUrl('a.txt')).searchParams.get('X-Amz-Date') ?? '',
  ];
  for (const time of times) {
    const iso = time.replace(/^(....)(..)(..T..)(..)/, '$1-$2-$3:$4:');
    assert.ok(Math.abs(Date.parse(iso) - Date.now() - ahead) < 60_000, time);
  }
  await bucket.dispose();
});

test('an abort ends a call and a body with its reason', async (t) => {
  const s3 = needS3(server, t);
  if (!s3) return;
  const settings = await s3.createBucket();
  await new Bucket(settings).put('a.txt', 'x'.repeat(100_000));
  const works: ((bucket: Bucket, signal: AbortSignal) => Promise<unknown>)[] = [
    (bucket, signal) => bucket.put('b.txt', 'text', { signal }),
    (bucket, signal) => bucket.get('a.txt', { signal }),
    async (bucket, signal) => {
      for await (const chunk of (await bucket.get('a.txt', { signal })).body) assert.ok(chunk);
    },
  ];
  for (const [index, work] of works.entries()) {
    const proxy = await startFaultyS3(t, () => (index === 2 ? 'stall' : 'silence'), s3.url);
    const controller = new AbortController();
    const reason = new Error('stopped');
    const working = work(new Bucket({ ...settings, endpoint: proxy.url }), controller.signal);
    setTimeout(() => controller.abort(reason), 200);
    const start = performance.now();
    await assert.rejects(working, (error) => error === reason);
    assert.ok(performance.now() - start < 5000);
    await assert.rejects(work(new Bucket(settings), controller.signal), reason);
  }
});

test('no request has what servers other than Amazon refuse', async (t) => {
  const warn = t.mock.method(console, 'warn');
  const { url, requests } = await startFaultyS3(t, () => ({ status: 200 }));
  const bucket = new Bucket({ ...ANYBODY, endpoint: url });
  await bucket.put('a.txt', Buffer.alloc(3_000_000));
  const link = await bucket.presignedUrl('a.txt');
  const headers = requests[0]?.headers ?? {};
  assert.equal(headers['content-length'], '3000000');
  for (const name of ['expect', 'content-encoding', 'transfer-encoding', 'x-amz-trailer']) {
    assert.equal(headers[name], undefined, name);
  }
  assert.doesNotMatch(JSON.stringify(headers) + link, /checksum/i);
  await bucket.put('empty.txt', '');
  assert.equal(requests[1]?.headers['content-length'], '0');
  // The SDK's words for a body whose length it does not know.
  assert.equal(warn.mock.callCount(), 0);
  await bucket.dispose();
});

test('the SDK is loaded at the first call, and no bucket shows its keys', () => {
  const bucket = new Bucket(ANYBODY);
  const shown = inspect(bucket, { depth: 9, showHidden: true }) + JSON.stringify(bucket);
  assert.doesNotMatch(shown, /must-not-show|AKIANOBODY/);
  const script = `
    const { Bucket } = await import(${JSON.stringify(new URL('../../../src/storage/bucket.js', import.meta.url).href)});
    new Bucket(${JSON.stringify(ANYBODY)});
    const { createRequire } = await import('node:module');
    const loaded = Object.keys(createRequire(process.cwd() + '/x.js').cache);
    console.log(loaded.filter((name) => /@aws-sdk|@smithy/.test(name)).length);
  `;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(run.stdout.trim(), '0', run.stderr);
});
