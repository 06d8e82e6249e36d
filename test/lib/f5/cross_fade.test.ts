import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatenate } from '../../../lib/audio/pcm.js';
import { ChunkJoiner, joinChunks } from '../../../lib/f5/cross_fade.js';
import { noise } from './sounds.js';

/** infer_batch_process's joining, chunk by chunk over the whole. */
function reference(chunks: readonly Float32Array[], overlap: number): Float32Array {
  let joined = Float64Array.from(chunks[0] ?? []);
  for (const chunk of chunks.slice(1)) {
    const n = Math.min(overlap, joined.length, chunk.length);
    const start = joined.length - n;
    const next = new Float64Array(start + chunk.length);
    next.set(joined);
    next.set(chunk, start);
    for (let i = 0; i < n; i++) {
      const fadeIn = n === 1 ? 0 : i / (n - 1);
      const fadeOut = n === 1 ? 1 : 1 - i / (n - 1);
      next[start + i] = joined[start + i]! * fadeOut + chunk[i]! * fadeIn;
    }
    joined = next;
  }
  return Float32Array.from(joined);
}

describe('the joining of chunks', () => {
  const sets: [string, number[]][] = [
    ['long chunks', [9000, 12_000, 8000]],
    ['one chunk', [5000]],
    ['chunks shorter than the fade', [100, 7000, 50, 1, 0, 9000, 3599, 3600, 3601]],
    ['short chunks alone', [10, 20, 30]],
    ['no chunk', []],
  ];
  for (const [name, lengths] of sets) {
    it(`fades ${name} as the reference`, () => {
      const chunks = lengths.map((length, i) => noise(length, 0.3, i + 1));
      assert.deepEqual(joinChunks(chunks), reference(chunks, 3600));
      const short = { crossFade: 0.01, sampleRate: 8000 };
      assert.deepEqual(joinChunks(chunks, short), reference(chunks, 80));
    });
  }

  it('gives all but the fade at once', () => {
    const joiner = new ChunkJoiner();
    const first = noise(10_000, 0.3, 1);
    assert.deepEqual(joiner.push(first), first.subarray(0, 6400));
    assert.equal(joiner.push(noise(5000, 0.3, 2)).length, 5000 - 3600);
  });

  it('sets chunks end to end where there is no fade', () => {
    const chunks = [noise(10, 0.5, 1), noise(20, 0.5, 2)];
    for (const crossFade of [0, -1]) {
      assert.deepEqual(joinChunks(chunks, { crossFade }), concatenate(chunks));
    }
  });

  it('leaves the chunks alone', () => {
    const chunk = new Float32Array(5000).fill(0.5);
    const joiner = new ChunkJoiner();
    joiner.pause(0.1);
    joiner.push(chunk);
    joiner.push(chunk);
    joiner.pause(0.1);
    assert.ok(chunk.every((sample) => sample === 0.5));
  });

  it('puts pauses between chunks without a click, at the beginning and at the end', () => {
    const chunk = new Float32Array(6000).fill(0.5);
    const joiner = new ChunkJoiner();
    const parts = [
      joiner.pause(0.1),
      joiner.push(chunk),
      joiner.pause(0.2),
      joiner.pause(0.05),
      joiner.push(chunk),
      joiner.pause(0.5),
      joiner.finish(),
    ];
    const all = concatenate(parts);
    assert.equal(all.length, 2400 + 6000 + 6000 + 6000 + 12_000);
    const isSilent = (from: number, to: number): boolean =>
      all.subarray(from, to).every((sample) => sample === 0);
    assert.ok(isSilent(0, 2400) && isSilent(8400, 14_400) && isSilent(20_400, all.length));
    assert.ok(all.subarray(2521, 8279).every((sample) => sample === 0.5));
    const jump = all.reduce(
      (most, sample, i) => Math.max(most, Math.abs(sample - (all[i - 1] ?? 0))),
      0,
    );
    assert.ok(jump < 0.006, `a jump of ${jump}`);
  });

  it('refuses options and pauses that are none', () => {
    const code = { code: 'INVALID_ARGUMENT' };
    assert.throws(() => new ChunkJoiner({ crossFade: NaN }), code);
    assert.throws(() => new ChunkJoiner({ sampleRate: 0 }), code);
    assert.throws(() => new ChunkJoiner({ crossfade: 1 } as object), /Did you mean crossFade/);
    const joiner = new ChunkJoiner();
    for (const seconds of [-1, 61, NaN]) assert.throws(() => joiner.pause(seconds), code);
  });
});
