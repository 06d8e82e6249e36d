/** What every speech detector must do: the tests of each one run these. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArgumentError } from '../../../lib/errors.js';
import { detectSpeech } from '../../../lib/vad/speech_spans.js';
import { vadRate, vadWindow, type SpeechDetector } from '../../../lib/vad/types.js';
import { leastLateness } from '../../support/lateness.js';
import {
  atDecibels,
  collect,
  concatenate,
  hiss,
  hum,
  mix,
  probabilities,
  seconds,
  silence,
  speech,
} from './sounds.js';

export function testDetector(load: () => SpeechDetector, skip: string | false = false): void {
  void test('silence, hiss and hum are no speech', { skip }, async () => {
    const detector = load();
    for (const noise of [
      silence(20),
      hiss(20, 0.01),
      hiss(20, 0.0003),
      concatenate(silence(5), hiss(10, 0.01), silence(5)),
      concatenate(silence(5), hum(15, 0.1)),
    ]) {
      assert.deepEqual(await collect(detectSpeech(detector, [noise])), []);
    }
  });

  void test(
    'speech is found, loud and very quiet, between silence and under noise',
    { skip },
    async () => {
      const detector = load();
      const plain = await speech();
      const length = plain.length / vadRate;
      const quiet = atDecibels(plain, -50);
      for (const [name, pcm, start] of [
        ['plain', plain, 0],
        ['at -50 dB', quiet, 0],
        ['between silence', concatenate(silence(20), plain, silence(20)), 20],
        ['quiet between silence', concatenate(silence(20), quiet, silence(20)), 20],
        ['under hiss', mix(concatenate(silence(20), plain, silence(20)), hiss(47, 0.005)), 20],
        ['under hum', mix(concatenate(silence(20), plain, silence(20)), hum(47, 0.01)), 20],
      ] as const) {
        const spans = await collect(detectSpeech(detector, [pcm]));
        const found = seconds(spans, start, start + length);
        assert.ok(found > 0.8 * length, `${name}: ${found} of ${length} s`);
        const outside = seconds(spans, 0, Infinity) - found;
        assert.ok(outside < 1.2, `${name}: ${outside} s outside`);
      }
    },
  );

  void test(
    'a probability for every window, the same however the recording is cut',
    { skip },
    async () => {
      const detector = load();
      const pcm = concatenate(await speech(), hiss(4, 0.001)).subarray(0, 300 * vadWindow + 100);
      const whole = await probabilities(detector.stream(), pcm);
      assert.equal(whole.length, 301);
      assert.ok(whole.every((p) => p >= 0 && p <= 1));
      for (const sizes of [[512], [1, 5000, 0, 37], [100_000], [480]]) {
        assert.deepEqual(await probabilities(detector.stream(), pcm, sizes), whole);
      }
      const none = detector.stream();
      assert.equal((await none.push(new Float32Array(0))).length, 0);
      assert.equal((await none.finish()).length, 0);
    },
  );

  void test('calls that overlap are done in order', { skip }, async () => {
    const detector = load();
    const pcm = await speech();
    const whole = await probabilities(detector.stream(), pcm);
    const stream = detector.stream();
    const calls = [0, 1, 2, 3].map((i) => stream.push(pcm.subarray(i * 30_000, (i + 1) * 30_000)));
    const out = await Promise.all([...calls, stream.finish()]);
    assert.deepEqual(concatenate(...out), whole);
  });

  void test('bad samples are refused and change nothing', { skip }, async () => {
    const detector = load();
    const pcm = await speech();
    const whole = await probabilities(detector.stream(), pcm);
    const stream = detector.stream();
    const first = await stream.push(pcm.subarray(0, 40_000));
    for (const bad of [NaN, Infinity, -Infinity, 1e20]) {
      const spoiled = pcm.slice();
      spoiled[spoiled.length - 1] = bad;
      await assert.rejects(stream.push(spoiled), { code: 'INVALID_ARGUMENT' });
    }
    for (const bad of [undefined, null, [0, 1], new Float64Array(5), 'audio']) {
      await assert.rejects(stream.push(bad as never), ArgumentError);
    }
    const rest = [await stream.push(pcm.subarray(40_000)), await stream.finish()];
    assert.deepEqual(concatenate(first, ...rest), whole);
    await assert.rejects(stream.push(pcm), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(stream.finish(), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => detector.stream('soon' as never), ArgumentError);
  });

  void test('a signal ends a stream with its reason', { skip }, async () => {
    const detector = load();
    const reason = new Error('enough');
    await assert.rejects(
      detector.stream(AbortSignal.abort(reason)).push(silence(1)),
      (error) => error === reason,
    );
    const controller = new AbortController();
    const stream = detector.stream(controller.signal);
    const calls = [stream.push(hiss(300, 0.01)), stream.push(silence(300)), stream.finish()];
    const ended = Promise.allSettled(calls);
    setTimeout(() => {
      controller.abort(reason);
    }, 5);
    for (const call of await ended) {
      assert.equal(call.status, 'rejected');
      assert.equal(call.reason, reason);
    }
    const other = detector.stream();
    assert.equal((await other.push(silence(1))).length + (await other.finish()).length, 32);
  });

  void test("Node's event loop stays free", { skip }, async () => {
    const detector = load();
    const pcm = hiss(120, 0.01);
    const worst = await leastLateness(() => probabilities(detector.stream(), pcm), 30);
    assert.ok(worst < 60, `a timer was ${worst} ms late`);
  });
}
