/** How results reach the platform: through faults, too large, delivered again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Handler, Job } from '../../../src/runpod/index.js';
import {
  donesOf,
  endpointOf,
  errorIn,
  eventually,
  recordingPlatform,
  settled,
  startWorker,
  type JobStatus,
} from './support.js';

const echo: Handler = (job) => ({ echo: job.input });

test('a result is delivered through server errors, throttling and cut connections', async () => {
  const faults = ['500', 'drop', '429', '503', 'cut after'];
  const { platform, posted } = await recordingPlatform({}, (call) => {
    if (call.kind !== 'job-done') return undefined;
    const fault = faults.shift();
    if (fault === 'drop' || fault === 'cut after') {
      call.drop();
      return fault === 'drop' ? new Response(null) : undefined;
    }
    return fault === undefined ? undefined : new Response('no', { status: Number(fault) });
  });
  const worker = startWorker(platform, { handler: echo });
  const result: { status: string; output?: unknown } = await endpointOf(platform).runSync({
    input: 7,
  });
  assert.equal(result.status, 'COMPLETED');
  assert.deepEqual(result.output, { echo: 7 });
  await worker.stop();
  // The last fault hid the answer from the worker, which therefore posted once more.
  assert.equal(posted.filter(({ kind }) => kind === 'job-done').length, 6);
  await platform.close();
});

test('a result that the platform refuses is replaced by a small error that says so', async () => {
  const { platform } = await recordingPlatform();
  const worker = startWorker(platform, {
    handler: (job) => 'é'.repeat(Number(job.input)),
    maxResultBytes: 15e6,
  });
  const endpoint = endpointOf(platform);
  // 6 MB of characters are 12 MB of bytes: over the platform's limit for /run, under ours.
  const refused = await settled(endpoint, (await endpoint.run({ input: 6e6 })).id);
  assert.equal(refused.status, 'FAILED');
  assert.equal(errorIn(refused.error)['code'], 'RESULT_REFUSED');
  assert.match(errorIn(refused.error)['error_message'] ?? '', /12000013 bytes.*HTTP 400/);
  const tooLarge = await settled(endpoint, (await endpoint.run({ input: 8e6 })).id);
  assert.equal(errorIn(tooLarge.error)['code'], 'RESULT_TOO_LARGE');
  assert.match(errorIn(tooLarge.error)['error_message'] ?? '', /16000013 bytes/);
  await worker.stop();
  await platform.close();
});

test('an output that is too large is kept elsewhere, and what is said of it is posted', async () => {
  const kept = new Map<string, string>();
  const { platform } = await recordingPlatform();
  const worker = startWorker(platform, {
    handler: (job) => 'é'.repeat(Number(job.input)),
    maxResultBytes: 15e6,
    overflow: (job: Job, outputJson) => {
      if (job['webhook'] === 'http://127.0.0.1:9/') throw new Error('the disk is full');
      kept.set(job.id, outputJson);
      return Promise.resolve({ result_url: `kept/${job.id}` });
    },
  });
  const endpoint = endpointOf(platform);
  // 12 MB are refused by the platform, 16 MB are not even offered.
  for (const length of [6e6, 8e6]) {
    const status = await settled(endpoint, (await endpoint.run({ input: length })).id);
    assert.equal(status.status, 'COMPLETED', status.error);
    assert.deepEqual(status.output, { result_url: `kept/${status.id}` });
    assert.equal(kept.get(status.id), `"${'é'.repeat(length)}"`);
  }
  const small = await endpoint.runSync({ input: 3 });
  assert.equal(small.status, 'COMPLETED');
  assert.equal(kept.size, 2);
  const request = { input: 8e6, webhook: 'http://127.0.0.1:9/' };
  const failed = await settled(endpoint, (await endpoint.run(request)).id);
  assert.equal(failed.status, 'FAILED');
  assert.equal(errorIn(failed.error)['error_message'], 'the disk is full');
  await worker.stop();
  await platform.close();
});

test('a job that is delivered again after its end is answered, not computed, again', async () => {
  const again: unknown[] = [];
  const runs: unknown[] = [];
  const { platform, posted } = await recordingPlatform({}, (call) => {
    const next = call.kind === 'job-take' ? again.shift() : undefined;
    return next === undefined ? undefined : Response.json(next);
  });
  const worker = startWorker(platform, {
    handler: (job) => {
      runs.push(job.input);
      if (job.input === 'fails') throw new Error('no');
      return { times: runs.length };
    },
  });
  const endpoint = endpointOf(platform);
  const good: JobStatus = await endpoint.runSync({ input: 'works' });
  const bad: JobStatus = await endpoint.runSync({ input: 'fails' });
  again.push({ id: good.id, input: 'works' }, { id: bad.id, input: 'fails' });
  // Wakes the open long poll.
  await endpoint.runSync({ input: 'next' });
  await eventually('both are posted again', () =>
    [good, bad].every(({ id }) => donesOf(posted, id).length === 2),
  );
  const [first, second] = donesOf(posted, good.id).map(({ body }) => body);
  assert.equal(second, first);
  // One that failed comes again because somebody asked for another try.
  assert.equal(runs.filter((input) => input === 'works').length, 1);
  assert.equal(runs.filter((input) => input === 'fails').length, 2);
  await worker.stop();
  await platform.close();
});

test('a stop that overtakes its job drops it; a stop that comes late harms nothing', async () => {
  const takes: unknown[] = [];
  const stops: string[][] = [];
  const runs: string[] = [];
  const { platform, posted } = await recordingPlatform({ holdMs: 100 }, (call) => {
    if (call.kind === 'job-take') {
      const next = takes.shift();
      return next === undefined ? undefined : Response.json(next);
    }
    const ids = call.kind === 'job-stop' ? stops.shift() : undefined;
    return ids && Response.json({ jobsToStop: ids });
  });
  const worker = startWorker(platform, {
    handler: (job) => {
      runs.push(job.id);
      return 1;
    },
  });
  stops.push(['early', 'unknown']);
  await eventually('the stop is heard', () => stops.length === 0);
  await delay(50);
  takes.push({ id: 'early', input: 1 }, { id: 'normal', input: 1 });
  await eventually('the next one has run', () => donesOf(posted, 'normal').length > 0);
  assert.deepEqual(runs, ['normal']);
  assert.equal(donesOf(posted, 'early').length, 0);
  stops.push(['normal']);
  await eventually('the late stop is heard', () => stops.length === 0);
  await delay(50);
  // Asked for once more (/retry keeps the id): both run now.
  takes.push({ id: 'early', input: 1 });
  await eventually('it runs', () => runs.length === 2);
  await worker.stop();
  await platform.close();
});

test('50 MB of input and 30 MB of output cost one job, not the worker', async () => {
  const big: unknown[] = [{ id: 'big-input', input: 'x'.repeat(50e6) }];
  const { platform, posted } = await recordingPlatform({}, (call) => {
    const next = call.kind === 'job-take' ? big.shift() : undefined;
    return next === undefined ? undefined : Response.json(next);
  });
  const worker = startWorker(platform, {
    handler: (job) => (typeof job.input === 'string' ? job.input.length : 'y'.repeat(30e6)),
  });
  await eventually('it is answered', () => donesOf(posted, 'big-input').length > 0, 20_000);
  assert.equal(donesOf(posted, 'big-input')[0]?.body, '{"output":50000000}');
  const endpoint = endpointOf(platform);
  const large = await settled(endpoint, (await endpoint.run({ input: 7 })).id);
  assert.equal(errorIn(large.error)['code'], 'RESULT_TOO_LARGE');
  assert.ok((large.error ?? '').length < 10_000);
  const next: JobStatus = await endpoint.runSync({ input: 'fine' });
  assert.equal(next.output, 4);
  await worker.stop();
  await platform.close();
});

test('progress after the end is ignored', async () => {
  const { platform, posted } = await recordingPlatform();
  let late: (() => void) | undefined;
  const worker = startWorker(platform, {
    handler: (_job, { progress }) => {
      late = () => progress('too late');
      return 'done';
    },
  });
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.runSync({ input: 1 });
  late?.();
  await delay(200);
  assert.equal(donesOf(posted, id).length, 1);
  const status: JobStatus = await endpoint.status(id);
  assert.equal(status.output, 'done');
  await worker.stop();
  await platform.close();
});
