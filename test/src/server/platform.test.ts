import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Handler } from '../../../src/runpod/index.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import {
  endpointOf,
  eventually,
  settled,
  startWorker,
  type Endpoint,
  type JobStatus,
  type StartedWorker,
} from '../runpod/support.js';

let platform: LocalPlatform;
let endpoint: Endpoint;
let worker: StartedWorker;

const failed = new Set<string>();

/** Does what the job's input says. */
const handler: Handler = async (job, { signal, progress }) => {
  const { sleep, fail, failOnce, chunks, report } = job.input as {
    sleep?: number;
    fail?: string;
    failOnce?: string;
    chunks?: number;
    report?: unknown;
  };
  if (report !== undefined) progress(report);
  if (chunks !== undefined) {
    return (async function* () {
      for (let i = 0; i < chunks; i += 1) {
        await delay(5);
        yield { i };
      }
    })();
  }
  if (sleep !== undefined) await delay(sleep, undefined, { signal });
  if (fail !== undefined) throw new Error(fail);
  if (failOnce !== undefined) {
    if (failed.has(failOnce)) return 'second time';
    failed.add(failOnce);
    throw new Error('first time');
  }
  return { echo: job.input };
};

before(async () => {
  platform = await LocalPlatform.start({
    holdMs: 1000,
    queue: { executionTimeoutMs: 1500 },
  });
  endpoint = endpointOf(platform);
  worker = startWorker(platform, { handler, concurrency: 2 });
});

after(async () => {
  await worker.stop();
  await platform.close();
});

test('runSync returns the output with its times', async () => {
  const result: JobStatus = await endpoint.runSync({ input: { a: 'ü' } });
  assert.match(result.id, /^sync-/);
  assert.equal(result.status, 'COMPLETED');
  assert.deepEqual(result.output, { echo: { a: 'ü' } });
  assert.equal(result.workerId, 'worker-1');
  assert.ok(Number(result.delayTime) >= 0 && Number(result.executionTime) >= 0);
});

test('run returns at once; status follows the job', async () => {
  const { id, status } = await endpoint.run({ input: { sleep: 300, report: { done: 0.5 } } });
  assert.equal(status, 'IN_QUEUE');
  await eventually('progress is seen', async () => {
    const now: JobStatus = await endpoint.status(id);
    return (
      now.status === 'IN_PROGRESS' && JSON.stringify(now.output) === JSON.stringify({ done: 0.5 })
    );
  });
  const done = await settled(endpoint, id);
  assert.deepEqual(done.output, { echo: { sleep: 300, report: { done: 0.5 } } });
});

test("a job that throws is FAILED with the error's text", async () => {
  const result: JobStatus = await endpoint.runSync({ input: { fail: 'no such voice' } });
  assert.equal(result.status, 'FAILED');
  const report = JSON.parse(result.error ?? '') as Record<string, unknown>;
  assert.equal(report['error_message'], 'no such voice');
  assert.equal(report['worker_id'], 'worker-1');
});

test('a job can be run without HTTP', async () => {
  const { status, output } = await platform.run({ a: 1 });
  assert.deepEqual([status, output], ['COMPLETED', { echo: { a: 1 } }]);
});

test('runSync asks again for a job that outlives its first call', async () => {
  // One second is the least that the platform holds the call.
  const slow = await LocalPlatform.start({ holdMs: 1000 });
  const helper = startWorker(slow, { handler });
  const client = endpointOf(slow);
  const result: JobStatus = await client.runSync({ input: { sleep: 1400 } }, 1000);
  assert.match(result.id, /^sync-/);
  assert.equal((await settled(client, result.id)).status, 'COMPLETED');
  const patient: JobStatus = await client.runSync({ input: { sleep: 1400 } }, 20_000);
  assert.deepEqual(patient.output, { echo: { sleep: 1400 } });
  await helper.stop();
  await slow.close();
});

test('a failed job that is retried completes under the same id', async () => {
  const { id } = await endpoint.run({ input: { failOnce: `now ${Math.random()}` } });
  assert.equal((await settled(endpoint, id)).status, 'FAILED');
  assert.deepEqual(await (await post(`/retry/${id}`)).json(), { id, status: 'IN_QUEUE' });
  const done = await settled(endpoint, id);
  assert.deepEqual([done.status, done.output, done.error], ['COMPLETED', 'second time', undefined]);
  assert.equal((await post(`/retry/${id}`)).status, 400);
});

test('stream yields the chunks in order', async () => {
  const { id } = await endpoint.run({ input: { chunks: 20 } });
  const chunks: unknown[] = [];
  for await (const chunk of endpoint.stream(id)) chunks.push(chunk);
  assert.deepEqual(
    chunks,
    Array.from({ length: 20 }, (_, i) => ({ output: { i } })),
  );
  assert.deepEqual((await settled(endpoint, id)).output, []);
});

test('cancel stops a running job, which frees its place', async () => {
  const { id } = await endpoint.run({ input: { sleep: 60_000 } });
  await eventually('it runs', async () => (await endpoint.status(id)).status === 'IN_PROGRESS');
  const cancelled = await endpoint.cancel(id);
  assert.equal(cancelled.status, 'CANCELLED');
  assert.equal((await endpoint.status(id)).status, 'CANCELLED');
  const again = await endpoint.cancel(id);
  assert.equal(again.status, 'CANCELLED');
  const next: JobStatus = await endpoint.runSync({ input: 1 });
  assert.equal(next.status, 'COMPLETED');
});

test('a job that runs longer than allowed is TIMED_OUT, and can be retried', async () => {
  const { id } = await endpoint.run({ input: { sleep: 60_000 } });
  assert.equal((await settled(endpoint, id)).status, 'TIMED_OUT');
  const retried = await post(`/retry/${id}`);
  assert.equal(retried.status, 200);
  await eventually('it runs', async () => (await endpoint.status(id)).status === 'IN_PROGRESS');
  await endpoint.cancel(id);
  const refused = await post(`/retry/${id}`);
  assert.equal(refused.status, 400);
});

test('health counts jobs and workers; purgeQueue empties the queue', async () => {
  const running = await Promise.all([0, 1].map(() => endpoint.run({ input: { sleep: 60_000 } })));
  await eventually('both run', async () => (await endpoint.health()).jobs.inProgress === 2);
  const waiting = await Promise.all([0, 1, 2].map((i) => endpoint.run({ input: i })));
  const health = await endpoint.health();
  assert.equal(health.jobs.inQueue, 3);
  assert.equal(health.workers.running, 1);
  assert.deepEqual(await endpoint.purgeQueue(), { removed: 3, status: 'completed' });
  assert.equal((await endpoint.health()).jobs.inQueue, 0);
  for (const { id } of waiting) assert.equal((await endpoint.status(id)).status, 'CANCELLED');
  for (const { id } of running) await endpoint.cancel(id);
  assert.equal((await endpoint.health()).jobs.inProgress, 0);
  assert.ok((await endpoint.health()).jobs.completed > 0);
});

test('jobs of low priority wait for the others', async () => {
  const blockers = await Promise.all([0, 1].map(() => endpoint.run({ input: { sleep: 400 } })));
  await eventually('both run', async () => (await endpoint.health()).jobs.inProgress === 2);
  const late = await endpoint.run({ input: 'low', policy: { lowPriority: true } });
  const early = await endpoint.run({ input: { sleep: 200 } });
  const early2 = await endpoint.run({ input: { sleep: 200 } });
  await Promise.all([...blockers, early, early2].map(({ id }) => settled(endpoint, id)));
  const low = await settled(endpoint, late.id);
  const high = await settled(endpoint, early.id);
  assert.ok(Number(low.delayTime) > Number(high.delayTime));
});

test('bad requests are refused with a reason', async () => {
  const statusOf = async (response: Promise<Response>): Promise<number> => (await response).status;
  assert.equal(await statusOf(post('/run', '{"input":')), 400);
  assert.equal(await statusOf(post('/run', '{}')), 400);
  assert.equal(await statusOf(post('/run', '{"input":null}')), 400);
  assert.equal(await statusOf(post('/run', '{"input":1,"policy":{"ttl":5}}')), 400);
  assert.equal(await statusOf(post('/cancel/none')), 404);
  assert.equal(await statusOf(post('/retry/none')), 404);
  assert.equal(await statusOf(post('/nonsense')), 404);
  assert.equal(await statusOf(fetch(`${platform.baseUrl}/other/health`, { headers: key })), 404);
  assert.equal(await statusOf(fetch(`${platform.baseUrl}/local/health`)), 401);
  const large = JSON.stringify({ input: 'x'.repeat(10 * 1024 * 1024) });
  assert.equal(await statusOf(post('/run', large)), 413);
  await assert.rejects(endpoint.status('none'));
});

test('a worker without the key gets no jobs', async () => {
  const url = platform.environment('thief')['RUNPOD_WEBHOOK_GET_JOB'] ?? '';
  assert.equal((await fetch(url)).status, 401);
});

test('only the given key is let in where one is set', async () => {
  const locked = await LocalPlatform.start({ apiKey: 'right' });
  await assert.rejects(endpointOf(locked, 'wrong').health());
  assert.ok(await endpointOf(locked, 'right').health());
  await locked.close();
});

test('results are forgotten after their time, and a job after its time to live', async () => {
  const short = await LocalPlatform.start({
    holdMs: 200,
    queue: { retentionMs: 100, syncRetentionMs: 100, ttlMs: 300 },
  });
  const client = endpointOf(short);
  const expired = await client.run({ input: 1 });
  await delay(400);
  await assert.rejects(client.status(expired.id), 'its time to live is over');
  const helper = startWorker(short, { handler });
  const done = await client.run({ input: 1 });
  await eventually('it is forgotten', () =>
    client.status(done.id).then(
      () => false,
      () => true,
    ),
  );
  await helper.stop();
  await short.close();
});

test('a worker that falls silent loses its jobs to another', async () => {
  const strict = await LocalPlatform.start({ holdMs: 200, pingIntervalMs: 150 });
  const client = endpointOf(strict);
  const { id } = await client.run({ input: 'x' });
  const variables = strict.environment('dead');
  const taken = await fetch(
    (variables['RUNPOD_WEBHOOK_GET_JOB'] ?? '').replace('$RUNPOD_POD_ID', 'dead'),
    {
      headers: { Authorization: variables['RUNPOD_AI_API_KEY'] ?? '' },
    },
  );
  assert.deepEqual(await taken.json(), { id, input: 'x' });
  await eventually(
    'it is queued again',
    async () => (await client.status(id)).status === 'IN_QUEUE',
  );
  assert.equal((await client.health()).jobs.retried, 1);
  const helper = startWorker(strict, { handler }, 'alive');
  assert.equal((await settled(client, id)).workerId, 'alive');
  await helper.stop();
  await strict.close();
});

test('a job outlives the end of one worker, not of two', async () => {
  const fragile = await LocalPlatform.start({ holdMs: 200 });
  const client = endpointOf(fragile);
  const { id } = await client.run({ input: 'x' });
  for (const state of ['IN_QUEUE', 'FAILED']) {
    const variables = fragile.environment('mortal');
    const url = (variables['RUNPOD_WEBHOOK_GET_JOB'] ?? '').replace('$RUNPOD_POD_ID', 'mortal');
    const headers = { Authorization: variables['RUNPOD_AI_API_KEY'] ?? '' };
    assert.equal((await fetch(url, { headers })).status, 200);
    assert.equal(fragile.workers.running, 1);
    fragile.workerEnded('mortal');
    assert.equal((await client.status(id)).status, state);
    assert.equal(fragile.workers.ready, 0);
  }
  const last: JobStatus = await client.status(id);
  assert.match(last.error ?? '', /2 workers died/);
  await fragile.close();
});

const key = { Authorization: 'Bearer test-key' };

function post(path: string, body = '{}'): Promise<Response> {
  return fetch(`${platform.baseUrl}/${platform.endpointId}${path}`, {
    method: 'POST',
    headers: { ...key, 'Content-Type': 'application/json' },
    body,
  });
}
