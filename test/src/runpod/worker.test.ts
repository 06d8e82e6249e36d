import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createLogger } from '../../../src/log.js';
import { runWorker, type Handler } from '../../../src/runpod/index.js';
import {
  donesOf,
  endpointOf,
  errorIn,
  eventually,
  FAST_RETRY,
  recordingPlatform,
  settled,
  startWorker,
} from './support.js';

const echo: Handler = (job) => ({ echo: job.input });

test("posts results with RunPod's headers and query", async () => {
  const { platform, posted } = await recordingPlatform();
  const worker = startWorker(platform, { handler: echo });
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.run({ input: 'ä' });
  assert.deepEqual((await settled(endpoint, id)).output, { echo: 'ä' });
  await worker.stop();
  const [done] = donesOf(posted, id);
  assert.ok(done);
  const url = new URL(done.url);
  assert.equal(url.pathname, `/v2/local/job-done/worker-1/${id}`);
  assert.equal(url.search, '?gpu=local%20CPU&isStream=false');
  assert.equal(done.body, '{"output":{"echo":"ä"}}');
  assert.equal(done.headers.get('content-type'), 'application/x-www-form-urlencoded');
  assert.equal(done.headers.get('charset'), 'utf-8');
  assert.equal(done.headers.get('x-request-id'), id);
  assert.match(done.headers.get('user-agent') ?? '', /^voxpod\/\d/);
  assert.ok(done.headers.get('authorization'));
  const take = posted.find(({ kind }) => kind === 'job-take');
  assert.match(take?.url ?? '', /job-take\/worker-1\?gpu=local%20CPU&job_in_progress=0$/);
  await platform.close();
});

test('progress and chunks keep their order and never overtake the result', async () => {
  // Each post is answered late, and the later ones less late.
  let lateness = 120;
  const { platform, posted } = await recordingPlatform({}, async (call) => {
    if (call.kind === 'job-done' || call.kind === 'job-stream') {
      lateness = Math.max(0, lateness - 15);
      await delay(lateness);
    }
    return undefined;
  });
  const worker = startWorker(platform, {
    handler: async function* (_job, { progress }) {
      for (let i = 0; i < 6; i += 1) {
        progress({ i });
        yield i;
      }
      progress('last');
    },
    aggregateStream: true,
  });
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.run({ input: 1 });
  const chunks: unknown[] = [];
  for await (const { output } of endpoint.stream(id)) chunks.push(output);
  assert.deepEqual(chunks, [0, 1, 2, 3, 4, 5]);
  assert.deepEqual((await settled(endpoint, id)).output, [0, 1, 2, 3, 4, 5]);
  await worker.stop();
  const own = posted.filter((call) => call.jobId === id);
  const last = own.at(-1);
  assert.equal(last?.body, '{"output":[0,1,2,3,4,5]}');
  assert.match(last?.url ?? '', /&isStream=true$/);
  const streamed = own.filter(({ kind }) => kind === 'job-stream');
  assert.deepEqual(
    streamed.map(({ body }) => body),
    [0, 1, 2, 3, 4, 5].map((i) => `{"output":${i}}`),
  );
  assert.ok(streamed.every(({ url }) => url.endsWith('&isStream=false')));
  const reports = donesOf(posted, id).slice(0, -1);
  assert.ok(reports.length > 0);
  assert.ok(reports.every(({ body }) => body.startsWith('{"status":"IN_PROGRESS","output":')));
  await platform.close();
});

test('an error in a stream ends it and becomes the result', async () => {
  const { platform, posted } = await recordingPlatform();
  const worker = startWorker(platform, {
    handler: async function* (job) {
      yield 'fine';
      if (job.input === 'throw') throw new Error('half way');
      yield { error: 'half way' };
      yield 'never';
    },
  });
  const endpoint = endpointOf(platform);
  const thrown = await endpoint.runSync({ input: 'throw' });
  const chunk = await endpoint.runSync({ input: 'chunk' });
  await worker.stop();
  assert.equal(thrown.status, 'FAILED');
  assert.match(donesOf(posted, thrown.id)[0]?.body ?? '', /half way/);
  assert.equal(chunk.status, 'FAILED');
  assert.equal(donesOf(posted, chunk.id)[0]?.body, '{"error":"half way"}');
  assert.equal(posted.filter(({ kind }) => kind === 'job-stream').length, 2);
  await platform.close();
});

test('without a stream URL the chunks come with the result', async () => {
  const { platform } = await recordingPlatform();
  const env = platform.environment('worker-1');
  delete env['RUNPOD_WEBHOOK_POST_STREAM'];
  const worker = startWorker(platform, {
    env,
    handler: function* () {
      yield 1;
      yield 2;
    },
  });
  const result: { output?: unknown } = await endpointOf(platform).runSync({ input: 1 });
  assert.deepEqual(result.output, [1, 2]);
  await worker.stop();
  await platform.close();
});

test('a cancelled job is aborted within 200 ms and posts nothing', async () => {
  const { platform, posted } = await recordingPlatform();
  let abortedAt = 0;
  let ended = false;
  const worker = startWorker(platform, {
    handler: async (_job, { signal, progress }) => {
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          abortedAt = performance.now();
          resolve();
        });
      });
      progress('too late');
      await delay(50);
      ended = true;
      return 'too late';
    },
  });
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.run({ input: 1 });
  await eventually('it runs', async () => (await endpoint.status(id)).status === 'IN_PROGRESS');
  // The stop channel waits a second between calls that are answered at once.
  await delay(100);
  const cancelledAt = performance.now();
  await endpoint.cancel(id);
  await eventually('the handler has ended', () => ended);
  assert.ok(abortedAt - cancelledAt < 200, `${abortedAt - cancelledAt} ms`);
  await worker.stop();
  assert.equal(donesOf(posted, id).length, 0);
  await platform.close();
});

test('errors of handlers carry type, message and code; the worker lives on', async () => {
  const { platform } = await recordingPlatform();
  const ring: Record<string, unknown> = {};
  ring['self'] = ring;
  const worker = startWorker(platform, {
    handler: (job) => {
      if (job.input === 'string') throw 'only text';
      if (job.input === 'ring') return ring;
      if (job.input === 'error field') return { error: 'said so', part: 1 };
      if (job.input === 'no such file') {
        throw Object.assign(new RangeError('too far'), { code: 'ERANGE' });
      }
      return 'fine';
    },
  });
  const endpoint = endpointOf(platform);
  const run = async (
    input: unknown,
  ): Promise<{ status: string; error?: string; output?: unknown }> => endpoint.runSync({ input });
  const range = errorIn((await run('no such file')).error);
  assert.equal(range['error_type'], 'RangeError');
  assert.equal(range['error_message'], 'too far');
  assert.equal(range['code'], 'ERANGE');
  assert.equal(range['hostname'], 'worker-1.local');
  assert.equal(errorIn((await run('string')).error)['error_message'], 'only text');
  assert.equal(errorIn((await run('ring')).error)['code'], 'RESULT_INVALID');
  const field = await run('error field');
  assert.equal(field.status, 'FAILED');
  assert.equal(field.error, 'said so');
  assert.equal((await run('x')).output, 'fine');
  await worker.stop();
  await platform.close();
});

test('malformed deliveries fail alone', async () => {
  const broken: unknown[] = [
    { input: 'no id' },
    [{ id: 'no-input' }, { id: '', input: 1 }, 7, null],
    'text',
    { id: 'null-input', input: null },
  ];
  const lines: string[] = [];
  const { platform, posted } = await recordingPlatform({}, (call) => {
    const next = call.kind === 'job-take' ? broken.shift() : undefined;
    return next === undefined ? undefined : Response.json(next);
  });
  const worker = startWorker(platform, {
    handler: echo,
    concurrency: 4,
    log: createLogger({ env: {}, write: (line) => lines.push(line) }),
  });
  const result = await endpointOf(platform).runSync({ input: 'good' });
  assert.equal(result.status, 'COMPLETED');
  for (const id of ['no-input', 'null-input']) {
    await eventually(`${id} is answered`, () => donesOf(posted, id).length > 0);
    const body = JSON.parse(donesOf(posted, id)[0]?.body ?? '') as { error: string };
    assert.equal(errorIn(body.error)['code'], 'JOB_INVALID');
  }
  assert.equal(lines.filter((line) => line.includes('without an id')).length, 5);
  // The platform knows none of those jobs and answers 404; that is logged and forgotten.
  await worker.stop();
  await platform.close();
});

test('a take that fails is repeated, without a hot loop', async () => {
  let takes = 0;
  const { platform } = await recordingPlatform({}, (call) => {
    if (call.kind !== 'job-take') return undefined;
    takes += 1;
    if (takes === 1) return new Response('oops', { status: 500 });
    if (takes === 2) return new Response('flash', { status: 400 });
    if (takes === 3)
      return new Response('{"broken', { headers: { 'content-type': 'application/json' } });
    if (takes < 7) return new Response(null, { status: 204 });
    return undefined;
  });
  const worker = startWorker(platform, { handler: echo });
  const result = await endpointOf(platform).runSync({ input: 1 });
  assert.equal(result.status, 'COMPLETED');
  assert.ok(result.delayTime > 800);
  await worker.stop();
  await platform.close();
});

test('an empty queue that is answered at once is not hammered', async () => {
  let takes = 0;
  const { platform } = await recordingPlatform({}, (call) => {
    if (call.kind !== 'job-take') return undefined;
    takes += 1;
    return new Response(null, { status: 204 });
  });
  const worker = startWorker(platform, { handler: echo });
  await delay(1500);
  await worker.stop();
  assert.ok(takes < 20, `${takes} takes in 1.5 s`);
  await platform.close();
});

test('takes single jobs where the platform knows no batches', async () => {
  const { platform } = await recordingPlatform({}, (call) =>
    call.url.includes('job-take-batch') ? new Response('?', { status: 404 }) : undefined,
  );
  const worker = startWorker(platform, { handler: echo, concurrency: 3 });
  const endpoint = endpointOf(platform);
  const results = await Promise.all([1, 2, 3, 4].map((input) => endpoint.runSync({ input })));
  assert.ok(results.every(({ status }) => status === 'COMPLETED'));
  await worker.stop();
  await platform.close();
});

test('200 jobs at 16 at once each end exactly once with the right result', async () => {
  const { platform, posted } = await recordingPlatform();
  let running = 0;
  let most = 0;
  const worker = startWorker(platform, {
    concurrency: 16,
    handler: async (job) => {
      running += 1;
      most = Math.max(most, running);
      await delay(Math.random() * 20);
      running -= 1;
      return { square: Number(job.input) ** 2 };
    },
  });
  const endpoint = endpointOf(platform);
  const jobs = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => (await endpoint.run({ input: i + 1 }, 10_000)).id),
  );
  const results = await Promise.all(jobs.map((id) => settled(endpoint, id)));
  assert.deepEqual(
    results.map(({ output }) => output),
    results.map((_, i) => ({ square: (i + 1) ** 2 })),
  );
  for (const id of jobs) assert.equal(donesOf(posted, id).length, 1);
  assert.ok(most > 8 && most <= 16, `${most} at once`);
  await worker.stop();
  await platform.close();
});

test('a new job does not wait for an old one to end', async () => {
  const { platform } = await recordingPlatform();
  const worker = startWorker(platform, {
    concurrency: (running) => running + 1,
    handler: async (job, { signal }) => {
      await delay(Number(job.input), undefined, { signal });
      return 'done';
    },
  });
  const endpoint = endpointOf(platform);
  const slow = await endpoint.run({ input: 60_000 });
  await eventually(
    'it runs',
    async () => (await endpoint.status(slow.id)).status === 'IN_PROGRESS',
  );
  const quick = await endpoint.runSync({ input: 1 });
  assert.equal(quick.status, 'COMPLETED');
  assert.equal((await endpoint.status(slow.id)).status, 'IN_PROGRESS');
  await endpoint.cancel(slow.id);
  await worker.stop();
  await platform.close();
});

test('the deadline of the drain aborts what still runs and reports it', async () => {
  const { platform } = await recordingPlatform();
  const worker = startWorker(platform, {
    drainMs: 200,
    handler: (_job, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
  });
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.run({ input: 1 });
  await eventually('it runs', async () => (await endpoint.status(id)).status === 'IN_PROGRESS');
  const started = performance.now();
  await worker.stop();
  assert.ok(performance.now() - started < 2000);
  const status = await settled(endpoint, id);
  assert.equal(errorIn(status.error)['code'], 'JOB_ABORTED');
  await platform.close();
});

test('refreshWorker asks for a new worker and ends', async () => {
  const { platform, posted } = await recordingPlatform();
  const worker = startWorker(platform, { handler: echo, refreshWorker: true });
  const result = await endpointOf(platform).runSync({ input: 1 });
  await worker.ended;
  assert.equal(donesOf(posted, result.id)[0]?.body, '{"output":{"echo":1},"stopPod":true}');
  await platform.close();
});

test('nothing is taken before onStart is through, and its failure ends the worker', async () => {
  const { platform, posted } = await recordingPlatform();
  let ready = false;
  const worker = startWorker(platform, {
    onStart: async () => {
      await delay(200);
      assert.equal(posted.length, 0);
      ready = true;
    },
    handler: () => ready,
  });
  const result: { output?: unknown } = await endpointOf(platform).runSync({ input: 1 });
  assert.equal(result.output, true);
  await worker.stop();
  const failing = startWorker(platform, {
    onStart: () => Promise.reject(new Error('no model')),
    handler: echo,
  });
  await assert.rejects(failing.ended, /no model/);
  await platform.close();
});

test('wrong options are refused', async () => {
  const env = { RUNPOD_WEBHOOK_GET_JOB: 'http://h/', RUNPOD_WEBHOOK_POST_OUTPUT: 'http://h/' };
  const invalid = { code: 'INVALID_ARGUMENT' };
  await assert.rejects(runWorker({ handler: echo, env: {} }), invalid);
  await assert.rejects(runWorker({ handler: echo, env, concurrency: 0 }), invalid);
  await assert.rejects(runWorker({ handler: echo, env, drainMs: -1 }), invalid);
  const none: unknown = 'no function';
  await assert.rejects(runWorker({ handler: none as Handler, env, retry: FAST_RETRY }), invalid);
});
