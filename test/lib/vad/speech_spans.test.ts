import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SpeechSpans, detectSpeech } from '../../../lib/vad/speech_spans.js';
import { vadRate, type SpeechSpan, type VadOptions } from '../../../lib/vad/types.js';
import { folderFrom } from '../../support/needs.js';
import { collect } from './sounds.js';

/** Seconds of a window. */
const window = 0.032;

/** `[probability, windows]` one after another. */
const levels = (...parts: [number, number][]): Float32Array =>
  Float32Array.from(parts.flatMap(([p, windows]) => Array.from({ length: windows }, () => p)));

/** In windows. */
function windows(spans: SpeechSpan[]): [number, number][] {
  const count = (seconds: number): number => Math.round((seconds / window) * 16) / 16;
  return spans.map(({ start, end }) => [count(start), count(end)]);
}

function spansOf(probabilities: Float32Array, options?: VadOptions): SpeechSpan[] {
  const spans = new SpeechSpans(options);
  const out = spans.push(probabilities);
  out.push(...spans.finish(probabilities.length * 512));
  return out;
}

/** No padding, limits in windows. */
const bare = { speechPad: 0, minSilence: 5 * window, maxSpeech: Infinity };

void test('hysteresis: begins at the threshold, ends below the negative one', () => {
  assert.deepEqual(
    windows(spansOf(levels([0.4, 10], [0.6, 10], [0.4, 10], [0.1, 10], [0.4, 5]), bare)),
    [[10, 30]],
  );
  assert.deepEqual(windows(spansOf(levels([0.49, 50]), bare)), []);
  assert.deepEqual(windows(spansOf(levels([0.1, 2], [0.9, 8]), bare)), [[2, 10]]);
});

void test('short silence does not end a span, short speech is left out', () => {
  const flicker = levels([0, 5], [1, 5], [0, 5], [1, 5], [0, 6], [1, 2], [0, 9]);
  assert.deepEqual(windows(spansOf(flicker, bare)), [
    [5, 20],
    [26, 28],
  ]);
  assert.deepEqual(windows(spansOf(flicker, { ...bare, minSpeech: 3 * window })), [[5, 20]]);
});

void test('padding stays within the recording and is halved where spans are near', () => {
  const options = { ...bare, speechPad: 10 * window };
  assert.deepEqual(
    windows(spansOf(levels([0, 4], [1, 6], [0, 12], [1, 8], [0, 30], [1, 5], [0, 6]), options)),
    [
      [0, 16],
      [16, 40],
      [50, 71],
    ],
  );
});

void test('what grows too long is cut at its last silence of 98 ms, or where it is weakest', () => {
  const options = { ...bare, minSilence: 1, maxSpeech: 41 * window };
  assert.deepEqual(
    windows(spansOf(levels([1, 10], [0, 5], [1, 12], [0, 5], [1, 20], [0, 40]), options)),
    [
      [0, 27],
      [32, 52],
    ],
  );
  assert.deepEqual(windows(spansOf(levels([1, 30], [0.7, 1], [1, 20], [0, 40]), options)), [
    [0, 30.5],
    [30.5, 51],
  ]);
  // With a limit, no span is longer, whatever comes.
  let state = 7;
  const random = Float32Array.from({ length: 5000 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state < 2 ** 28 ? 0.3 : 0.8;
  });
  const cut = spansOf(random, { maxSpeech: 4, speechPad: 0.1 });
  assert.ok(cut.length > 30);
  let last = 0;
  for (const { start, end } of cut) {
    assert.ok(start >= last && end > start && end - start <= 4);
    last = end;
  }
});

void test('a span is given as soon as nothing can change it', () => {
  const spans = new SpeechSpans({ ...bare, speechPad: 10 * window });
  assert.deepEqual(spans.push(levels([1, 20], [0, 20])), []); // another may begin within 20 windows
  assert.deepEqual(windows(spans.push(levels([0, 1]))), [[0, 30]]);
  assert.deepEqual(spans.push(levels([1, 20], [0, 10])), []);
  assert.deepEqual(windows(spans.push(levels([1, 1]))), [[31, 66]]);
  assert.deepEqual(windows(spans.finish(72 * 512)), [[66, 72]]);
});

void test('pushes may be of any size', () => {
  let state = 3;
  const random = Float32Array.from({ length: 3000 }, (_, i) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (Math.sin(i / 9) + 1) / 2 + (state / 2 ** 32 - 0.5) / 2;
  });
  const whole = spansOf(random, { maxSpeech: 5 });
  assert.ok(whole.length > 20);
  const spans = new SpeechSpans({ maxSpeech: 5 });
  const out: SpeechSpan[] = [];
  for (const p of random) out.push(...spans.push(Float32Array.of(p)));
  assert.deepEqual([...out, ...spans.finish(3000 * 512)], whole);
});

void test('a recording that comes in pieces', async () => {
  const sizes: number[] = [];
  const detector = {
    name: 'every sample is a window',
    stream: () => ({
      push: (pcm: Float32Array) => {
        sizes.push(pcm.length);
        return Promise.resolve(pcm);
      },
      finish: () => Promise.resolve(levels([1, 5])),
    }),
  };
  const pieces = [levels([0, 10]), levels([1, 10], [0, 60]), levels([0, 3])];
  const spans = await collect(detectSpeech(detector, pieces, bare));
  // By its samples the recording ended long before.
  assert.deepEqual(windows(spans.slice(0, 1)), [[10, 20]]);
  assert.deepEqual(sizes, [10, 70, 3]);
  await assert.rejects(collect(detectSpeech(detector, pieces, { threshold: 7 })), {
    code: 'INVALID_ARGUMENT',
  });
});

const goldens = folderFrom('VOXPOD_GOLDENS');
type Golden = { n_samples: number; probs: number[] } & Record<
  string,
  { start: number; end: number }[]
>;

void test(
  "spans equal faster-whisper's, sample for sample",
  { skip: goldens === undefined && 'VOXPOD_GOLDENS is not set' },
  () => {
    const file = join(goldens ?? '', 'whisper', 'vad', 'vad.json');
    const clips = Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, Golden>);
    const sets: Record<string, VadOptions> = {
      default: { minSilence: 2, maxSpeech: Infinity },
      batched: {},
      max5s: { minSilence: 2, maxSpeech: 5 },
      silero_like: { minSpeech: 0.25, minSilence: 0.1, speechPad: 0.03, maxSpeech: Infinity },
    };
    assert.ok(clips.length >= 3);
    for (const [name, clip] of clips) {
      for (const [set, options] of Object.entries(sets)) {
        const spans = new SpeechSpans(options);
        const out = spans.push(Float32Array.from(clip.probs));
        out.push(...spans.finish(clip.n_samples));
        const got = out.map(({ start, end }) => ({
          start: Math.round(start * vadRate),
          end: Math.round(end * vadRate),
        }));
        assert.deepEqual(got, clip[set], `${name}, ${set}`);
      }
    }
  },
);
