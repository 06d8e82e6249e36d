/** F5TTS with a small random model: everything but the beauty of the sound. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { concatenate } from '../../../lib/audio/pcm.js';
import { F5TTS, Voice, type SpeakOptions, type SpeakProgress } from '../../../lib/index.js';
import { packageRoot } from '../../../lib/package_root.js';
import { nativeProblem } from '../../support/needs.js';
import { tinyVocabulary, writeTinyModel } from './tiny_model.js';

const skip = nativeProblem() ?? false;
const reference = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const said =
  'Yesterday it was raining all day long. Today the sun is shining and the children are playing in the garden.';

describe('F5TTS', { skip }, () => {
  let folder: string;
  let f5: F5TTS;
  let voice: Voice;
  let options: SpeakOptions;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-f5-'));
    await writeTinyModel(folder);
    f5 = await F5TTS.load(folder, { dtype: 'float32' });
    voice = await f5.voice(reference, { text: said });
    options = { voice, seed: 7, steps: 4 };
  });

  after(async () => {
    await f5.dispose();
    await rm(folder, { recursive: true });
  });

  it('loads what lies in the folder, and says what that is', async () => {
    const { checkpoint, device, dtype, weightBytes, geometry } = f5.info;
    assert.equal(checkpoint, join(folder, 'F5TTS_v1_Base', 'model_1250000.safetensors'));
    assert.deepEqual([device, dtype], ['cpu', 'float32']);
    assert.ok(weightBytes > 100_000);
    assert.deepEqual(
      [geometry.backbone, geometry.vocoder, geometry.layers, geometry.sampleRate],
      ['dit', 'vocos', 2, 24_000],
    );
    const fractions: number[] = [];
    const onProgress = (fraction: number): void => void fractions.push(fraction);
    const again = await F5TTS.load(checkpoint, { vocoder: join(folder, 'vocoder'), onProgress });
    await again.dispose();
    assert.equal(fractions.at(-1), 1);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
  });

  it('makes a voice of a recording: its text as the models take it', () => {
    assert.equal(voice.text, `${said} `);
    assert.ok(voice.duration > 4 && voice.duration <= 12.05);
    assert.ok(voice.gain >= 1);
    assert.deepEqual(voice.warnings, []);
  });

  it('says as much as the pace of the reference gives, the same for one seed', async () => {
    const text = 'The weather is fine, and so are we.';
    const speech = await f5.speak(text, options);
    const frames = Math.trunc(
      ((Math.floor(voice.samples.length / 256) / Buffer.byteLength(`${voice.text} `)) *
        Buffer.byteLength(text)) /
        1,
    );
    assert.equal(speech.samples.length, (frames - 1) * 256);
    assert.equal(speech.duration, speech.samples.length / 24_000);
    assert.deepEqual([speech.seed, speech.sampleRate, speech.warnings], [7, 24_000, []]);
    assert.deepEqual(speech.chunks, [{ text, duration: speech.duration }]);
    assert.ok(speech.samples.some((sample) => Math.abs(sample) > 1e-4));
    assert.deepEqual((await f5.speak(text, options)).samples, speech.samples);
    const other = await f5.speak(text, { ...options, seed: 8 });
    assert.notDeepEqual(other.samples, speech.samples);
    const drawn = await f5.speak(text, { voice, steps: 4 });
    const repeated = await f5.speak(text, { voice, steps: 4, seed: drawn.seed });
    assert.deepEqual(repeated.samples, drawn.samples);
  });

  it('says the same whatever else is said at once', async () => {
    const jobs: [string, Partial<SpeakOptions>][] = [
      ['Hello.', {}],
      ['A somewhat longer sentence, with a clause.', { seed: 1 }],
      ['Fast words here.', { speed: 2 }],
      ['One. '.repeat(60), { steps: 2 }],
      ['No guidance at all.', { cfgStrength: 0 }],
      ['Even steps.', { swaySamplingCoef: 0, epss: false, steps: 7 }],
      ['Midpoint.', { method: 'midpoint' }],
      ['Two chunks of it. '.repeat(15), { seed: 3, crossFade: 0 }],
    ];
    const together = await Promise.all(
      jobs.map(([text, more]) => f5.speak(text, { ...options, ...more })),
    );
    for (const [at, [text, more]] of jobs.entries()) {
      const alone = await f5.speak(text, { ...options, ...more });
      const { samples } = together[at] ?? alone;
      assert.equal(samples.length, alone.samples.length, text);
      const loudest = alone.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      for (const [i, sample] of alone.samples.entries()) {
        const difference = Math.abs(sample - (samples[i] ?? NaN));
        assert.ok(difference <= 1e-4 * loudest, `${text} at ${i}: ${difference}`);
      }
    }
  });

  it('reports its progress, up to the end', async () => {
    const seen: SpeakProgress[] = [];
    await f5.speak('One sentence. '.repeat(40), {
      ...options,
      onProgress: (progress) => seen.push(progress),
    });
    const last = seen.at(-1);
    assert.ok(last !== undefined && last.chunks > 1);
    assert.deepEqual([last.chunk, Math.round(last.fraction * 1e6)], [last.chunks, 1e6]);
    for (const [i, { fraction }] of seen.entries()) {
      assert.ok(fraction >= (seen[i - 1]?.fraction ?? 0) && fraction <= 1);
    }
    const wrong = new Error('no more');
    const onProgress = (): never => {
      throw wrong;
    };
    await assert.rejects(f5.speak('Hello there.', { ...options, onProgress }), wrong);
  });

  it('streams the same sound as blocks, from a short first chunk', async () => {
    const text = 'The first sentence. A second sentence. '.repeat(12);
    const blocks: Float32Array[] = [];
    const stream = f5.stream(text, options);
    let step = await stream.next();
    for (; step.done !== true; step = await stream.next()) blocks.push(step.value.samples);
    const { chunks, duration, seed } = step.value;
    assert.ok(chunks.length > 2 && blocks.length >= chunks.length);
    assert.ok((chunks[0]?.text.length ?? 0) < (chunks[1]?.text.length ?? 0) / 2);
    assert.equal(concatenate(blocks).length / 24_000, duration);
    assert.equal(seed, 7);
    // All of the text, in its order.
    assert.equal(chunks.map((chunk) => chunk.text).join(' '), text.trim());
  });

  it('ends when its consumer leaves, and lives on', async () => {
    for await (const { samples } of f5.stream('A sentence to say. '.repeat(100), options)) {
      assert.ok(samples.length > 0);
      break;
    }
    assert.ok((await f5.speak('Still here.', options)).duration > 0);
  });

  it('streams 100,000 characters without holding them all', async () => {
    const text = 'Many words are said here. '.repeat(3846);
    let blocks = 0;
    const before = process.memoryUsage();
    for await (const { samples } of f5.stream(text, { ...options, steps: 1, cfgStrength: 0 })) {
      blocks += samples.length > 0 ? 1 : 0;
      if (blocks === 12) break;
    }
    const { arrayBuffers } = process.memoryUsage();
    // Twelve chunks of 15 s would be 17 MB, all of them a gigabyte.
    assert.ok(arrayBuffers - before.arrayBuffers < 60e6, String(arrayBuffers));
  });

  it('pauses, and changes voices and their speed, where tags say so', async () => {
    const text = 'This is the main voice. [pause:0.5s] [anna] And this is Anna. [main] Main again.';
    const other = await f5.voice(reference, { text: said });
    const voices = { anna: { voice: other, speed: 2 } };
    const { chunks, duration } = await f5.speak(text, { ...options, voices });
    assert.deepEqual(
      chunks.map(({ text: words, voice: name }) => [words, name]),
      [
        ['This is the main voice.', undefined],
        ['And this is Anna.', 'anna'],
        ['Main again.', undefined],
      ],
    );
    const [first = 0, second = 0, third = 0] = chunks.map((chunk) => chunk.duration);
    const faded = first + second + third + 0.5 - 0.15;
    assert.ok(Math.abs(duration - faded) < 1e-3, `${duration} ${faded}`);
    const slow = await f5.speak('And this is Anna.', options);
    assert.ok(Math.abs(slow.duration / second - 2) < 0.05);
  });

  it('takes as long as it is told to', async () => {
    for (const text of ['Some words to say.', 'A sentence of many words. '.repeat(20)]) {
      const { duration, chunks } = await f5.speak(text, { ...options, duration: 9 });
      assert.ok(Math.abs(duration - 9) < 0.011 * chunks.length, `${duration} ${chunks.length}`);
    }
  });

  it('speaks parts of a recording anew, and keeps the rest', async () => {
    const text = said.replace('raining', 'snowing');
    const flow = { seed: 7, steps: 4 };
    const recording = await decodeAudio(reference, { sampleRate: 24_000 });
    const edits = [
      { start: 0.8, end: 1.4, duration: 1.1 },
      { start: 3, end: 3.4 },
    ];
    const edited = await f5.edit(reference, { text, edits, ...flow });
    const seconds = recording.length / 24_000 + 0.5;
    assert.ok(Math.abs(edited.duration - seconds) < 0.03, `${edited.duration} ${seconds}`);
    assert.deepEqual((await f5.edit(reference, { text, edits, ...flow })).samples, edited.samples);
    const other = await f5.edit(reference, { text, edits, ...flow, seed: 8 });
    /** Loudest difference between two seeds in some seconds, against the loudest sample. */
    const difference = (start: number, end: number): number => {
      const part = (samples: Float32Array): Float32Array =>
        samples.subarray(start * 24_000, end * 24_000);
      const [one, two] = [part(edited.samples), part(other.samples)];
      return one.reduce((most, sample, i) => Math.max(most, Math.abs(sample - (two[i] ?? 0))), 0);
    };
    // The vocoder sees some frames around each.
    assert.equal(difference(0, 0.5), 0);
    assert.ok(difference(0.9, 1.8) > 1e-3);
    assert.equal(difference(2.3, 3.2), 0);
    const wrong = { code: 'INVALID_ARGUMENT' };
    for (const bad of [[], [{ start: 3, end: 2 }], [{ start: 0, end: 99 }]]) {
      await assert.rejects(f5.edit(reference, { text, edits: bad }), wrong);
    }
    const paused = { text: 'One [pause:1s] two', edits };
    await assert.rejects(f5.edit(reference, paused), { ...wrong, message: /no pauses/ });
  });

  it('costs the same for a second of sound, however long the text', async () => {
    const sentence = 'A sentence of ordinary length is said here. ';
    const cost = async (count: number): Promise<number> => {
      const started = performance.now();
      const { duration } = await f5.speak(sentence.repeat(count), { ...options, steps: 8 });
      return (performance.now() - started) / duration;
    };
    await cost(1);
    // Of several runs the fastest: other programs may run beside this one.
    const least = async (count: number): Promise<number> =>
      Math.min(await cost(count), await cost(count), await cost(count));
    const [few, many] = [await least(8), await least(64)];
    assert.ok(many < 2 * few, `${many} ms a second of sound, and ${few} for an eighth of the text`);
  });

  it('hears the reference where there is no text, and only what is used of it', async () => {
    let heard = 0;
    const transcriber = (audio: unknown): Promise<{ text: string }> => {
      const { samples } = audio as { samples: Float32Array };
      heard = samples.length / 24_000;
      return Promise.resolve({ text: ' It was heard. ' });
    };
    const own = await f5.voice(reference, { transcriber });
    assert.equal(own.text, 'It was heard. ');
    assert.equal(heard, own.duration);
    await assert.rejects(f5.voice(reference), { code: 'INVALID_ARGUMENT', message: /text/ });
    const silent = (): Promise<{ text: string }> => Promise.resolve({ text: ' . ' });
    await assert.rejects(f5.voice(reference, { transcriber: silent }), { code: 'AUDIO_INVALID' });
  });

  it('warns of letters that it does not know', async () => {
    const { warnings } = await f5.speak('Hello, мир.', options);
    assert.match(warnings.join(), /does not know these letters.*: м и р$/);
  });

  it('refuses what it cannot say', async () => {
    const wrong = { code: 'INVALID_ARGUMENT' };
    const rows: [string, Record<string, unknown>, RegExp][] = [
      ['', {}, /nothing to say/],
      ['🙂 🙃', {}, /nothing to say/],
      ['[pause:1s]', {}, /nothing to say/],
      ['a'.repeat(100_001), {}, /100000 characters/],
      ['Hello [bob] there', {}, /no voice "bob"/],
      ['Hello', { speed: 0 }, /speed/],
      ['Hello', { speed: NaN }, /speed/],
      ['Hello', { steps: 0 }, /steps/],
      ['Hello', { seed: -1 }, /seed/],
      ['Hello', { duration: 0 }, /duration/],
      ['Hello', { voice: undefined }, /a Voice/],
      ['Hello', { voices: { anna: {} } }, /voices\.anna\.voice/],
      ['Hello', { sped: 1 }, /Did you mean .*speed/],
    ];
    for (const [text, more, message] of rows) {
      const given = { ...options, ...more };
      await assert.rejects(f5.speak(text, given), { ...wrong, message }, text.slice(0, 20));
      assert.throws(() => f5.stream(text, given), { ...wrong, message });
    }
  });

  it('ends with its signal, and with the model', async () => {
    const long = 'A sentence to say. '.repeat(200);
    const left = new Error('left');
    const controller = new AbortController();
    const speaking = f5.speak(long, { ...options, steps: 32, signal: controller.signal });
    setTimeout(() => controller.abort(left), 100);
    await assert.rejects(speaking, left);
    await assert.rejects(f5.speak(long, { ...options, signal: AbortSignal.abort(left) }), left);
    const own = await F5TTS.load(folder);
    const running = own.speak(long, { ...options, steps: 32 });
    setTimeout(() => void own.dispose(), 100);
    await assert.rejects(running, { code: 'DISPOSED' });
    await own.dispose();
    await assert.rejects(own.speak('Hello.', options), { code: 'DISPOSED' });
    await assert.rejects(own.voice(reference, { text: said }), { code: 'DISPOSED' });
  });

  it('refuses files that do not belong together, and weights that are no numbers', async () => {
    const other = await mkdtemp(join(tmpdir(), 'voxpod-f5-'));
    try {
      await writeTinyModel(other);
      const vocabulary = join(other, 'vocab.txt');
      await writeFile(vocabulary, `${tinyVocabulary}one more\n`);
      await assert.rejects(F5TTS.load(other, { vocabulary }), {
        ...{ code: 'TOKENIZER_INVALID', message: /104 tokens, the other 103/ },
      });
      const config = 'model: {mel_spec: {mel_spec_type: bigvgan}}';
      await writeFile(join(other, 'F5TTS_v1_Base', 'config.yaml'), config);
      await assert.rejects(F5TTS.load(other), { code: 'MODEL_INVALID', message: /bigvgan/ });
      await rm(other, { recursive: true });
      await writeTinyModel(other, {
        change: (tensors) => {
          tensors.get('ema_model.transformer.proj_out.bias')?.values.fill(NaN);
        },
      });
      // Noticed when it is loaded, or when it speaks.
      await assert.rejects(
        async () => {
          const broken = await F5TTS.load(other);
          try {
            await broken.speak('Hello there.', options);
          } finally {
            await broken.dispose();
          }
        },
        { code: 'MODEL_INVALID' },
      );
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });
});
