import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SileroDetector } from '../../../lib/vad/silero.js';
import { nativeProblem } from '../../support/needs.js';
import { testDetector } from './detectors.js';
import { hiss, sileroWeights, silence } from './sounds.js';

const { folder, skip } = sileroWeights();
let detector: SileroDetector;

before(async () => {
  if (skip === false) detector = await SileroDetector.load(folder);
});
after(async () => {
  if (skip === false) await detector.dispose();
});

testDetector(() => detector, skip);

void test('disposing ends what runs and refuses what comes', { skip }, async () => {
  const own = await SileroDetector.load(folder);
  assert.equal(own.name, 'silero');
  const stream = own.stream();
  const other = own.stream();
  const pcm = hiss(600, 0.01);
  const ended = Promise.allSettled([stream.push(pcm), stream.push(pcm), other.push(pcm)]);
  await own.dispose();
  for (const call of await ended) {
    assert.equal(call.status, 'rejected');
    assert.equal((call.reason as { code: string }).code, 'DISPOSED');
  }
  await assert.rejects(stream.push(silence(1)), { code: 'DISPOSED' });
  await assert.rejects(own.stream().finish(), { code: 'DISPOSED' });
  await own.dispose();
});

void test('a hundred streams at once', { skip }, async () => {
  const pcm = hiss(3, 0.01);
  const streams = Array.from({ length: 100 }, () => detector.stream());
  const all = await Promise.all(streams.map((stream) => stream.push(pcm)));
  for (const probabilities of all) assert.deepEqual(probabilities, all[0]);
});

void test(
  'what holds no detector is refused',
  { skip: nativeProblem() ?? false },
  async (context) => {
    const empty = await mkdtemp(join(tmpdir(), 'voxpod-vad-'));
    context.after(() => rm(empty, { recursive: true }));
    await assert.rejects(SileroDetector.load(empty), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(SileroDetector.load(join(empty, 'none')), { code: 'MODEL_NOT_FOUND' });
    await writeFile(join(empty, 'a.safetensors'), 'no tensors');
    await assert.rejects(SileroDetector.load(empty), { code: 'CHECKPOINT_CORRUPT' });
    await assert.rejects(SileroDetector.load(''), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(SileroDetector.load('a\0b'), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(SileroDetector.load(5 as never), { code: 'INVALID_ARGUMENT' });
  },
);
