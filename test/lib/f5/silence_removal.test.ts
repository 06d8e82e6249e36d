import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatenate } from '../../../lib/audio/pcm.js';
import { LevelMeter, splitOnSilence } from '../../../lib/audio/silence.js';
import { SilenceRemover, removeSilence } from '../../../lib/f5/silence_removal.js';
import { bursts, noise } from './sounds.js';

/** pydub's parts of the whole, put together. */
function reference(samples: Float32Array, rate: number): Float32Array {
  const meter = new LevelMeter(rate).push(samples);
  const options = { minSilence: 1000, threshold: -50, keep: 500, step: 10 };
  return concatenate(
    splitOnSilence(meter, options).map(({ start, end }) =>
      samples.subarray(meter.frameAt(start), meter.frameAt(end)),
    ),
  );
}

const sounds: [string, readonly number[]][] = [
  ['a long silence within', [1, 3, 1]],
  ['silence at both ends', [0, 2, 1, 2.5]],
  ['silences that are too short', [1, 0.9, 1, 0.99, 1]],
  ['many silences', [0.3, 1.2, 0.05, 1.4, 0.02, 4, 2, 1.005, 0.7]],
  ['a blip within silence', [1, 1.5, 0.004, 1.5, 1]],
  ['silence alone', [0, 3]],
  ['sound of less than a second', [0.4, 0.3]],
  ['a length that is no multiple of 10 ms', [1.003, 1.6, 0.514, 1.237]],
  ['silence that begins with the last window', [1, 1.007]],
];

describe('the removal of long silences', () => {
  for (const [name, seconds] of sounds) {
    it(`treats ${name} as the whole, however it is cut`, () => {
      for (const rate of [24_000, 16_000]) {
        const samples = bursts(rate, seconds);
        const expected = reference(samples, rate);
        assert.deepEqual(removeSilence(samples, rate), expected);
        for (const size of [101, 7919, 24_000]) {
          const remover = new SilenceRemover(rate);
          const pieces: Float32Array[] = [];
          for (let at = 0; at < samples.length; at += size) {
            pieces.push(remover.push(samples.subarray(at, at + size)));
          }
          pieces.push(remover.finish());
          assert.deepEqual(concatenate(pieces), expected, `pieces of ${size}`);
        }
      }
    });
  }

  it('keeps sound without silence whole, to the sample', () => {
    const samples = noise(50_009, 0.3);
    assert.deepEqual(removeSilence(samples, 22_050), samples);
  });

  it('gives speech half a second after it came', () => {
    const remover = new SilenceRemover();
    let [given, came, most] = [0, 0, 0];
    for (let i = 0; i < 100; i++) {
      came += 1200;
      given += remover.push(noise(1200, 0.3, i + 1)).length;
      if (came > 24_000) most = Math.max(most, came - given);
    }
    assert.ok(most <= 0.55 * 24_000, `${most} samples wait`);
  });

  it('does not keep what it takes out', () => {
    const remover = new SilenceRemover();
    let given = remover.push(noise(30_000, 0.3)).length;
    for (let i = 0; i < 100; i++) given += remover.push(new Float32Array(24_000)).length;
    assert.equal(given, 30_000 + 12_000);
    const end = noise(24_000, 0.3);
    const rest = concatenate([remover.push(end), remover.finish()]);
    assert.equal(rest.length, 12_000 + 24_000);
    assert.deepEqual(rest.subarray(12_000), end);
  });
});
