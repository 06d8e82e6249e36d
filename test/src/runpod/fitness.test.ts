import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { VoxpodError } from '../../../lib/errors.js';
import { createLogger } from '../../../src/log.js';
import { runWorker, type FitnessCheck } from '../../../src/runpod/index.js';
import { endpointOf, quiet, recordingPlatform, startWorker } from './support.js';

const handler = (): string => 'ok';

test('checks run in order, before onStart, before the first ping and the first take', async () => {
  const { platform, posted } = await recordingPlatform();
  const order: string[] = [];
  const step = (name: string): FitnessCheck => ({
    name,
    run: async () => {
      await delay(20);
      order.push(name);
      assert.equal(posted.length, 0);
    },
  });
  const worker = startWorker(platform, {
    handler,
    checks: [step('memory'), step('disk')],
    onStart: () => step('start').run(new AbortController().signal),
  });
  const result: { output?: unknown } = await endpointOf(platform).runSync({ input: 1 });
  assert.equal(result.output, 'ok');
  assert.deepEqual(order, ['memory', 'disk', 'start']);
  await worker.stop();
  await platform.close();
});

test('a check that fails is told to the log in one line and to the platform in one ping', async () => {
  const { platform, posted } = await recordingPlatform();
  const lines: string[] = [];
  const env = { ...platform.environment('sick'), HF_TOKEN: 'hf_very_secret_token' };
  const log = createLogger({ env, write: (line) => lines.push(line) });
  const cause = new Error(`no room for hf_very_secret_token,\n  \u{1f600} ${'x'.repeat(400)}`);
  let started = false;
  const worker = runWorker({
    ...{ handler, env, log, handleSignals: false },
    checks: [
      { name: 'memory', run: () => undefined },
      { name: 'disk & co', run: () => Promise.reject(cause) },
    ],
    onStart: () => {
      started = true;
    },
  });
  await assert.rejects(worker, (error) => {
    assert.ok(error instanceof VoxpodError);
    assert.equal(error.code, 'UNHEALTHY');
    assert.equal(error.cause, cause);
    assert.match(error.message, /disk & co.*no room/);
    return true;
  });
  assert.equal(started, false);
  assert.deepEqual(
    posted.map(({ kind }) => kind),
    ['ping'],
  );
  const query = new URL(posted[0]?.url ?? '').searchParams;
  assert.equal(query.get('status'), 'unhealthy');
  assert.equal(query.get('check'), 'disk & co');
  assert.match(query.get('reason') ?? '', /^no room for \*\*\*,/);
  assert.equal([...(query.get('reason') ?? '')].length, 256);
  assert.match(query.get('runpod_version') ?? '', /^\d+\.\d+/);
  const errors = lines.filter((line) => line.includes('ERROR'));
  assert.equal(errors.length, 1, lines.join(''));
  assert.match(errors[0] ?? '', /disk & co.*no room for \*\*\*, \| /);
  await platform.close();
});

test('onStart counts as a check; a platform that is slow to hear of it is not waited for', async () => {
  const { platform, posted } = await recordingPlatform({}, async () => {
    await delay(4000);
    return undefined;
  });
  const worker = startWorker(platform, {
    handler,
    onStart: () => Promise.reject(new Error('no model')),
  });
  const began = performance.now();
  await assert.rejects(worker.ended, { code: 'UNHEALTHY', message: /"start" failed: no model/ });
  assert.ok(performance.now() - began < 3500);
  assert.equal(posted[0]?.kind, 'ping');
  await platform.close();
});

test('without a ping URL the worker just ends', async () => {
  const env = {
    RUNPOD_WEBHOOK_GET_JOB: 'http://127.0.0.1:9/job-take/w',
    RUNPOD_WEBHOOK_POST_OUTPUT: 'http://127.0.0.1:9/job-done/w/$ID',
  };
  const checks = [{ name: 'gpu', run: (): never => assert.fail('no GPU') }];
  await assert.rejects(runWorker({ handler, env, log: quiet, handleSignals: false, checks }), {
    code: 'UNHEALTHY',
    check: 'gpu',
  });
});

test('a worker that is told to end while it checks itself ends in peace', async () => {
  const { platform, posted } = await recordingPlatform();
  for (const heeds of [true, false]) {
    let told = false;
    const worker = startWorker(platform, {
      handler,
      checks: [
        {
          name: 'model',
          run: (signal) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => {
                told = true;
                if (heeds) reject(new Error('aborted'));
              });
            }),
        },
      ],
    });
    await delay(50);
    await worker.stop();
    assert.ok(told);
  }
  assert.deepEqual(posted, []);
  await platform.close();
});
