import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveChunkOptions, resolveVadOptions } from '../../../lib/vad/defaults.js';

void test("defaults are those of faster-whisper's batched pipeline", () => {
  assert.deepEqual(resolveVadOptions(), {
    threshold: 0.5,
    negativeThreshold: 0.35,
    minSpeech: 0,
    minSilence: 0.16,
    maxSpeech: 30,
    speechPad: 0.4,
  });
  assert.equal(resolveVadOptions({ threshold: 0.1 }).negativeThreshold, 0.01);
  assert.equal(resolveVadOptions({ maxSpeech: Infinity }).maxSpeech, Infinity);
  assert.deepEqual(resolveChunkOptions(), { maxSeconds: 30, maxGap: 3 });
});

void test('wrong options are refused', () => {
  for (const options of [
    { treshold: 0.5 },
    { threshold: 0 },
    { threshold: 2 },
    { threshold: '0.5' },
    { threshold: 0.5, negativeThreshold: 0.6 },
    { negativeThreshold: -1 },
    { minSpeech: -1 },
    { minSpeech: NaN },
    { minSilence: Infinity },
    { maxSpeech: 0 },
    { maxSpeech: NaN },
    { maxSpeech: 0.8 },
    { speechPad: 20 },
    null,
    [],
    5,
  ]) {
    assert.throws(() => resolveVadOptions(options as never), { code: 'INVALID_ARGUMENT' });
  }
  for (const options of [{ maxSeconds: 0 }, { maxGap: -1 }, { maxGap: '3' }, { gap: 3 }, null]) {
    assert.throws(() => resolveChunkOptions(options as never), { code: 'INVALID_ARGUMENT' });
  }
});
