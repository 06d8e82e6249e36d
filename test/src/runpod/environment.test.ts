import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEnvironment, withQuery } from '../../../src/runpod/environment.js';

const URLS = {
  RUNPOD_WEBHOOK_GET_JOB: 'https://api.runpod.ai/v2/ep/job-take/$RUNPOD_POD_ID?gpu=A',
  RUNPOD_WEBHOOK_POST_OUTPUT: 'https://api.runpod.ai/v2/ep/job-done/$RUNPOD_POD_ID/$ID?gpu=A',
  RUNPOD_POD_ID: 'pod7',
};

test('every placeholder is replaced in every URL', () => {
  const environment = readEnvironment({
    RUNPOD_WEBHOOK_GET_JOB: 'http://h/job-take/$ID/$RUNPOD_POD_ID?gpu=$RUNPOD_GPU_TYPE_ID',
    RUNPOD_WEBHOOK_POST_OUTPUT: 'http://h/job-done/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID',
    RUNPOD_WEBHOOK_POST_STREAM: 'http://h/job-stream/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID',
    RUNPOD_WEBHOOK_PING: 'http://h/ping/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID',
    RUNPOD_POD_ID: 'pod7',
    RUNPOD_GPU_TYPE_ID: 'NVIDIA RTX A5000',
  });
  const gpu = 'NVIDIA%20RTX%20A5000';
  assert.equal(environment.takeUrl, `http://h/job-take/pod7/pod7?gpu=${gpu}`);
  assert.equal(environment.takeBatchUrl, `http://h/job-take-batch/pod7/pod7?gpu=${gpu}`);
  assert.equal(environment.stopUrl, `http://h/job-stop/pod7/pod7?gpu=${gpu}`);
  assert.equal(environment.pingUrl, `http://h/ping/pod7/pod7?gpu=${gpu}`);
  assert.equal(environment.doneUrl('j-1'), `http://h/job-done/pod7/j-1?gpu=${gpu}`);
  assert.equal(environment.streamUrl?.('j-1'), `http://h/job-stream/pod7/j-1?gpu=${gpu}`);
});

test("the Hub's test server is enough: no ping, stream, key or query", () => {
  const environment = readEnvironment({
    RUNPOD_WEBHOOK_GET_JOB: 'http://0.0.0.0:80/v2/IDE/job-take/$RUNPOD_POD_ID',
    RUNPOD_WEBHOOK_POST_OUTPUT:
      'http://0.0.0.0:80/v2/IDE/job-done/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID',
  });
  assert.equal(environment.pingUrl, undefined);
  assert.equal(environment.streamUrl, undefined);
  assert.equal(environment.apiKey, undefined);
  assert.match(environment.workerId, /^[0-9a-f-]{36}$/);
  assert.equal(
    withQuery(environment.takeUrl, { job_in_progress: 0 }),
    `http://0.0.0.0:80/v2/IDE/job-take/${environment.workerId}?job_in_progress=0`,
  );
});

test("a job's id cannot change the URL's path or bring in a placeholder", () => {
  const environment = readEnvironment(URLS);
  assert.equal(
    environment.doneUrl('../x?$RUNPOD_POD_ID'),
    'https://api.runpod.ai/v2/ep/job-done/pod7/..%2Fx%3F%24RUNPOD_POD_ID?gpu=A',
  );
});

test('parameters are added with "?" or "&" as needed, and encoded', () => {
  assert.equal(withQuery('http://h/p', { a: 'x,y', b: 2 }), 'http://h/p?a=x%2Cy&b=2');
  assert.equal(withQuery('http://h/p?q=1', { a: 1 }), 'http://h/p?q=1&a=1');
  assert.equal(withQuery('http://h/p?', { a: 1 }), 'http://h/p?a=1');
  assert.equal(withQuery('http://h/p', {}), 'http://h/p');
});

test('what is missing or no URL is refused by name', () => {
  const invalid = (env: NodeJS.ProcessEnv, pattern: RegExp): void =>
    assert.throws(() => readEnvironment(env), { code: 'INVALID_ARGUMENT', message: pattern });
  invalid({}, /RUNPOD_WEBHOOK_GET_JOB is not set.*--test-input/);
  invalid({ ...URLS, RUNPOD_WEBHOOK_POST_OUTPUT: '' }, /RUNPOD_WEBHOOK_POST_OUTPUT/);
  invalid({ ...URLS, RUNPOD_WEBHOOK_GET_JOB: 'file:///x' }, /http or https URL/);
  invalid({ ...URLS, RUNPOD_WEBHOOK_PING: 'nonsense' }, /RUNPOD_WEBHOOK_PING/);
  invalid({ ...URLS, RUNPOD_WEBHOOK_POST_STREAM: '//' }, /RUNPOD_WEBHOOK_POST_STREAM/);
});

test('the ping interval is sane whatever the variable says', () => {
  const interval = (value: string | undefined): number =>
    readEnvironment({ ...URLS, RUNPOD_PING_INTERVAL: value }).pingIntervalMs;
  assert.equal(interval(undefined), 10_000);
  assert.equal(interval('4000'), 4000);
  assert.equal(interval('0'), 10_000);
  assert.equal(interval('5'), 1000);
  assert.equal(interval('soon'), 10_000);
  assert.equal(interval('1e12'), 300_000);
});
