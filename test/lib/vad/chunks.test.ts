import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeechChunks, chunkSpeech } from '../../../lib/vad/chunks.js';
import type { ChunkOptions, SpeechSpan } from '../../../lib/vad/types.js';
import { collect } from './sounds.js';

const spans = (...times: [number, number][]): SpeechSpan[] =>
  times.map(([start, end]) => ({ start, end }));

const chunks = (from: SpeechSpan[], options?: ChunkOptions): Promise<SpeechSpan[]> =>
  collect(chunkSpeech(from, options));

void test('neighbours share a chunk while it is short enough', async () => {
  assert.deepEqual(await chunks([]), []);
  assert.deepEqual(
    await chunks(spans([1, 9], [10, 18], [19, 31], [31.5, 40])),
    spans([1, 31], [31.5, 40]),
  );
  assert.deepEqual(await chunks(spans([0, 10], [10, 30], [30, 60])), spans([0, 30], [30, 60]));
  assert.deepEqual(
    await chunks(spans([0, 4], [5, 8], [9, 12]), { maxSeconds: 8 }),
    spans([0, 8], [9, 12]),
  );
});

void test('a full chunk is cut at its longest late silence', async () => {
  // Not at 9, which would leave it short, and not at 30.2, where the next span begins.
  assert.deepEqual(
    await chunks(spans([0, 6], [9, 23], [23.8, 26], [26.2, 30], [30.2, 40])),
    spans([0, 23], [23.8, 40]),
  );
});

void test('a long silence ends a chunk', async () => {
  assert.deepEqual(await chunks(spans([0, 2], [5, 6], [9.1, 10])), spans([0, 6], [9.1, 10]));
  assert.deepEqual(await chunks(spans([0, 2], [2.5, 6]), { maxGap: 0 }), spans([0, 2], [2.5, 6]));
});

void test('a span longer than a chunk is cut into equal parts', async () => {
  assert.deepEqual(
    await chunks(spans([0, 1], [5, 80], [81, 82])),
    spans([0, 1], [5, 30], [30, 55], [55, 82]),
  );
});

void test('rounding of seconds makes no chunk too long by a hair', async () => {
  const start = 3.3;
  assert.deepEqual(
    await chunks(spans([start, start + 10.1], [start + 10.1, start + 30.000_000_001])),
    spans([start, start + 30.000_000_001]),
  );
});

void test('a chunk is given when the next one begins', () => {
  const packer = new SpeechChunks();
  assert.deepEqual(packer.push({ start: 0, end: 10 }), []);
  assert.deepEqual(packer.push({ start: 11, end: 25 }), []);
  assert.deepEqual(packer.push({ start: 26, end: 40 }), [{ start: 0, end: 25 }]);
  assert.deepEqual(packer.finish(), [{ start: 26, end: 40 }]);
  assert.deepEqual(packer.finish(), []);
});
