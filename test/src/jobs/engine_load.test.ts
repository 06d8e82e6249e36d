import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { LoadMeter, type JobPool } from '../../../src/jobs/engine_load.js';
import type { Transcriber } from '../../../src/jobs/transcription.js';
import type { EngineLoad } from '../../../src/runpod/index.js';

const whisper: Transcriber = {
  info: { device: 'cpu', multilingual: true },
  transcribe: () => Promise.reject(new Error('not asked for')),
};

const pool: JobPool = {
  acquireWhisper: (name) =>
    name === 'none'
      ? Promise.reject(new Error('none'))
      : Promise.resolve({ whisper, release() {} }),
  acquireSpeech: () => Promise.reject(new Error('no speech')),
};

test('a job prepares while it takes its time, and is engaged from its request for a model', async () => {
  let load: EngineLoad | undefined;
  const meter = new LoadMeter((reported) => (load = reported));
  meter.capacity = 8;
  assert.deepEqual(load, { capacity: 8, engaged: 0, preparing: 0 });

  const quick = meter.begin();
  const slow = meter.begin();
  const lease = await quick.pool(pool).acquireWhisper('base');
  assert.deepEqual(load, { capacity: 8, engaged: 1, preparing: 0 }, 'nothing slow so far');
  await delay(400);
  assert.deepEqual(load, { capacity: 8, engaged: 1, preparing: 1 });
  const second = await slow.pool(pool).acquireWhisper('base');
  assert.deepEqual(load, { capacity: 8, engaged: 2, preparing: 0 });
  lease.release();
  lease.release();
  second.release();
  quick.end();
  slow.end();
  assert.deepEqual(load, { capacity: 8, engaged: 0, preparing: 0 });

  const unlucky = meter.begin();
  await assert.rejects(unlucky.pool(pool).acquireWhisper('none'), /none/);
  unlucky.end();
  const aborted = meter.begin();
  await delay(400);
  assert.deepEqual(load, { capacity: 8, engaged: 0, preparing: 1 });
  aborted.end();
  assert.deepEqual(load, { capacity: 8, engaged: 0, preparing: 0 });
});
