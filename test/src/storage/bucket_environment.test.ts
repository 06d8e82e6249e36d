import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBucket, readBucketEnvironment } from '../../../src/storage/bucket_environment.js';

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'a-secret-of-some-length' };
const WHOLE = { ...KEYS, VOXPOD_S3_BUCKET: 'speech' };

test('the settings of the least environment are those of Amazon S3', () => {
  assert.deepEqual(readBucketEnvironment(WHOLE), {
    settings: {
      bucket: 'speech',
      prefix: '',
      endpoint: undefined,
      region: 'us-east-1',
      pathStyle: false,
      credentials: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-of-some-length' },
      source: 'environment',
    },
    notes: [],
  });
});

test('all variables are read, and what was pasted around them is not', () => {
  const { settings } = readBucketEnvironment({
    ...WHOLE,
    AWS_SECRET_ACCESS_KEY: ' a-secret-of-some-length\n',
    AWS_SESSION_TOKEN: 'a-token',
    AWS_ENDPOINT_URL: 'https://s3.eu-central-003.backblazeb2.com/',
    AWS_REGION: 'eu-central-003',
    VOXPOD_S3_PREFIX: '/pods/voxpod/',
  });
  assert.deepEqual(settings, {
    bucket: 'speech',
    prefix: 'pods/voxpod',
    endpoint: 'https://s3.eu-central-003.backblazeb2.com',
    region: 'eu-central-003',
    pathStyle: true,
    credentials: {
      accessKeyId: 'AKIAEXAMPLE',
      secretAccessKey: 'a-secret-of-some-length',
      sessionToken: 'a-token',
    },
    source: 'environment',
  });
});

test('the reason names exactly the variables that are missing', () => {
  const rows: [NodeJS.ProcessEnv, string][] = [
    [{}, 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and VOXPOD_S3_BUCKET are not set'],
    [{ VOXPOD_S3_BUCKET: 'b1' }, 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set'],
    [{ ...WHOLE, AWS_SECRET_ACCESS_KEY: ' ' }, 'AWS_SECRET_ACCESS_KEY is not set'],
    [KEYS, 'VOXPOD_S3_BUCKET is not set'],
  ];
  for (const [env, reason] of rows) {
    assert.equal(describeBucket(readBucketEnvironment(env)), `No bucket: ${reason}.`);
  }
});

test('what cannot be used is a reason too, without its value where that may be a secret', () => {
  const rows: [NodeJS.ProcessEnv, RegExp][] = [
    [{ VOXPOD_S3_BUCKET: 's3://speech/pods' }, /VOXPOD_S3_BUCKET is no name .*VOXPOD_S3_PREFIX/],
    [{ VOXPOD_S3_PREFIX: 'pods/../other' }, /VOXPOD_S3_PREFIX has/],
    [{ VOXPOD_S3_PREFIX: 'pods//other' }, /VOXPOD_S3_PREFIX has/],
    [{ AWS_ENDPOINT_URL: 's3.us-west-004.backblazeb2.com' }, /AWS_ENDPOINT_URL is no URL/],
    [{ AWS_ENDPOINT_URL: 'ftp://h' }, /AWS_ENDPOINT_URL is no URL/],
    [{ AWS_ENDPOINT_URL: 'https://me:hidden@h' }, /user name or password/],
  ];
  for (const [env, reason] of rows) {
    const line = describeBucket(readBucketEnvironment({ ...WHOLE, ...env }));
    assert.match(line, reason);
    assert.doesNotMatch(line, /hidden|a-secret/);
  }
});

test('region and form of address follow from well-known hosts', () => {
  const rows: [url: string, region: string, pathStyle: boolean, endpoint?: string][] = [
    ['https://s3.us-west-004.backblazeb2.com', 'us-west-004', true],
    [
      'https://speech.s3.us-west-004.backblazeb2.com',
      'us-west-004',
      true,
      'https://s3.us-west-004.backblazeb2.com',
    ],
    ['https://s3.eu-west-1.amazonaws.com', 'eu-west-1', false],
    ['https://s3.amazonaws.com', 'us-east-1', false],
    ['https://s3-us-west-2.amazonaws.com', 'us-west-2', false],
    ['https://s3.dualstack.ap-south-1.amazonaws.com', 'ap-south-1', false],
    ['https://s3.us-gov-west-1.amazonaws.com', 'us-gov-west-1', false],
    ['https://s3.cn-north-1.amazonaws.com.cn', 'cn-north-1', false],
    [
      'https://speech.s3.eu-west-1.amazonaws.com',
      'eu-west-1',
      false,
      'https://s3.eu-west-1.amazonaws.com',
    ],
    [`https://${'a'.repeat(32)}.r2.cloudflarestorage.com`, 'auto', true],
    [
      `https://${'a'.repeat(32)}.eu.r2.cloudflarestorage.com/speech`,
      'auto',
      true,
      `https://${'a'.repeat(32)}.eu.r2.cloudflarestorage.com`,
    ],
    ['https://nyc3.digitaloceanspaces.com', 'nyc3', true],
    ['http://10.0.0.2:9000', 'us-east-1', true],
    // Not of Amazon, and not a bucket in front.
    ['https://s3.eu-west-1.amazonaws.com.example.org', 'us-east-1', true],
    ['https://speech.example.org', 'us-east-1', true],
  ];
  for (const [url, region, pathStyle, endpoint = url] of rows) {
    const { settings } = readBucketEnvironment({ ...WHOLE, AWS_ENDPOINT_URL: url });
    assert.ok(settings, url);
    assert.deepEqual(
      [settings.region, settings.pathStyle, settings.endpoint],
      [region, pathStyle, endpoint],
      url,
    );
    const named = readBucketEnvironment({ ...WHOLE, AWS_ENDPOINT_URL: url, AWS_REGION: 'mine-1' });
    assert.equal(named.settings?.region, 'mine-1');
  }
});

test('an old name is answered with its successor, unless that is set too', () => {
  const old: [string, string][] = [
    ['BACKBLAZE_KEY_ID', 'AWS_ACCESS_KEY_ID'],
    ['BACKBLAZE_APPLICATION_KEY_ID', 'AWS_ACCESS_KEY_ID'],
    ['BACKBLAZE_APPLICATION_KEY', 'AWS_SECRET_ACCESS_KEY'],
    ['BACKBLAZE_SECRET_ACCESS_KEY', 'AWS_SECRET_ACCESS_KEY'],
    ['BACKBLAZE_ENDPOINT', 'AWS_ENDPOINT_URL'],
    ['BACKBLAZE_BUCKET_ENDPOINT', 'AWS_ENDPOINT_URL'],
    ['BACKBLAZE_BUCKET', 'VOXPOD_S3_BUCKET'],
    ['BACKBLAZE_BUCKET_NAME', 'VOXPOD_S3_BUCKET'],
    ['BACKBLAZE_REGION', 'AWS_REGION'],
    ['BUCKET_ENDPOINT_URL', 'AWS_ENDPOINT_URL'],
    ['BUCKET_ACCESS_KEY_ID', 'AWS_ACCESS_KEY_ID'],
    ['BUCKET_SECRET_ACCESS_KEY', 'AWS_SECRET_ACCESS_KEY'],
  ];
  for (const [name, successor] of old) {
    const line = describeBucket(readBucketEnvironment({ [name]: 'an-old-value' }));
    assert.match(line, new RegExp(`\\. ${name} is not read: set ${successor} instead\\.$`));
    assert.doesNotMatch(line, /an-old-value/);
    const both = readBucketEnvironment({ ...WHOLE, [successor]: 'speech', [name]: 'an-old-value' });
    assert.deepEqual(both.notes, []);
  }
});

test('one line says which bucket there is', () => {
  const env = { ...WHOLE, VOXPOD_S3_PREFIX: 'pods', AWS_ENDPOINT_URL: 'http://10.0.0.2:9000' };
  assert.equal(
    describeBucket(readBucketEnvironment(env)),
    'Bucket speech/pods at http://10.0.0.2:9000, region us-east-1.',
  );
  assert.match(describeBucket(readBucketEnvironment(WHOLE)), /^Bucket speech at Amazon S3, /);
});
