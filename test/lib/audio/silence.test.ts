/** The expected spans were computed by pydub 0.25.1 on the same 16-bit samples. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  LevelMeter,
  detectNonsilent,
  detectSilence,
  leadingSilence,
  sliceMilliseconds,
  splitOnSilence,
  toInt16,
  type MillisecondSpan,
} from '../../../lib/audio/silence.js';
import { noise, steps } from '../f5/sounds.js';

const pairs = (spans: readonly MillisecondSpan[]): [number, number][] =>
  spans.map(({ start, end }) => [start, end]);

const parts = [
  ...[[0.2513, 0] as const, [1.3, 0.3] as const, [0.4, 0.002] as const, [0.6037, 0.0055] as const],
  ...[[0.9, 0.2] as const, [0.15, 0] as const, [0.021, 0.3] as const, [1.2, 0.001] as const],
  ...[[2.0141, 0.05] as const, [0.3003, 0.012] as const],
];

interface Expected {
  milliseconds: number;
  fine: [number, number][];
}
const expected: Record<number, Expected> = {
  24_000: {
    milliseconds: 7140,
    fine: [
      [256, 1547],
      [2565, 3445],
      [3609, 3622],
    ],
  },
  22_050: {
    milliseconds: 7140,
    fine: [
      [255, 1547],
      [2565, 3445],
      [3610, 3622],
    ],
  },
  48_000: {
    milliseconds: 7140,
    fine: [
      [256, 1547],
      [2565, 3445],
      [3609, 3622],
    ],
  },
  11_025: {
    milliseconds: 7141,
    fine: [
      [256, 1548],
      [2565, 3444],
      [3609, 3623],
    ],
  },
};

describe('silence as pydub has it', () => {
  for (const [rate, { milliseconds, fine }] of Object.entries(expected)) {
    it(`finds the same at ${rate} Hz, however the samples come`, () => {
      const samples = steps(Number(rate), parts);
      for (const size of [1009, samples.length]) {
        const meter = new LevelMeter(Number(rate));
        for (let at = 0; at < samples.length; at += size)
          meter.push(samples.subarray(at, at + size));
        assert.equal(meter.milliseconds, milliseconds);
        const long = { minSilence: 1000, threshold: -50, step: 10 };
        assert.deepEqual(pairs(detectSilence(meter, long)), [[3630, 4830]]);
        const short = { minSilence: 100, threshold: -40, step: 10 };
        assert.deepEqual(pairs(detectNonsilent(meter, short)), [
          ...[
            [250, 1560],
            [2550, 3460],
            [3600, 3630],
            [4830, 6840],
          ],
        ]);
        const loud = { minSilence: 137, threshold: -30, step: 1 };
        assert.deepEqual(pairs(detectNonsilent(meter, loud)), fine);
        assert.deepEqual(pairs(splitOnSilence(meter, { ...short, keep: 1000 })), [
          ...[
            [0, 2055],
            [2055, 3530],
            [3530, 4230],
            [4230, milliseconds],
          ],
        ]);
        assert.deepEqual(pairs(splitOnSilence(meter, { ...short, keep: 60 })), [
          ...[
            [190, 1620],
            [2490, 3520],
            [3540, 3690],
            [4770, 6900],
          ],
        ]);
        assert.equal(leadingSilence(meter, -42), 250);
      }
    });
  }

  it('has no parts of silence, and one of what is shorter than a silence', () => {
    const options = { minSilence: 1000, threshold: -50, step: 10 };
    const silent = new LevelMeter(24_000).push(new Float32Array(50_000));
    assert.deepEqual(detectNonsilent(silent, options), []);
    assert.equal(leadingSilence(silent, -42), silent.milliseconds);
    const short = new LevelMeter(24_000).push(new Float32Array(20_000));
    assert.deepEqual(detectNonsilent(short, options), [{ start: 0, end: 833 }]);
  });

  it('cuts the root mean square off to an integer', () => {
    // 103.62 is -50 dB: 103 is silent, and so is what is below 104.
    const square = (level: number): Float32Array =>
      new Float32Array(24_000).map((_, i) => (i % 2 === 0 ? level : -level) / 32_768);
    const options = { minSilence: 1000, threshold: -50, step: 10 };
    const of = (samples: Float32Array) =>
      detectSilence(new LevelMeter(24_000).push(samples), options);
    assert.equal(of(square(103)).length, 1);
    assert.equal(of(square(104)).length, 0);
    const mixed = square(104);
    mixed[0] = 103 / 32_768;
    assert.equal(of(mixed).length, 1);
  });

  it('measures louder by a gain', () => {
    const samples = noise(24_000, 0.01);
    const louder = samples.map((x) => x * 8);
    const energy = new LevelMeter(24_000).push(louder).energy(0, 1000);
    assert.equal(new LevelMeter(24_000, 8).push(samples).energy(0, 1000), energy);
  });

  it('fills up a slice to whole milliseconds', () => {
    const samples = new Float32Array(36).fill(1);
    const slice = sliceMilliseconds(samples, 24_000, 1, 2);
    assert.equal(slice.length, 24);
    assert.deepEqual([...slice.subarray(10, 14)], [1, 1, 0, 0]);
    assert.equal(sliceMilliseconds(samples, 24_000, 0, 1).length, 24);
  });

  it('takes well under a second for ten minutes', () => {
    const samples = noise(600 * 24_000, 0.1);
    const started = performance.now();
    const meter = new LevelMeter(24_000).push(samples);
    splitOnSilence(meter, { minSilence: 1000, threshold: -50, step: 10, keep: 1000 });
    splitOnSilence(meter, { minSilence: 100, threshold: -40, step: 10, keep: 1000 });
    const took = performance.now() - started;
    assert.ok(took < 1000, `${took} ms`);
  });
});

it('makes 16 bits by rounding, without wrapping', () => {
  assert.deepEqual([1, -1, 2, -2, 0.4 / 32_768, -1.5 / 32_768].map(toInt16), [
    ...[32_767, -32_768, 32_767, -32_768, 0, -1],
  ]);
});
