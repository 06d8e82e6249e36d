/** Speech found first and decoded in batches, where real weights are. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import type { Segment, TranscribeOptions } from '../../../lib/whisper/types.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { concatenate, atDecibels, hiss, hum, silence } from '../vad/sounds.js';
import { englishClips } from '../../support/clips.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { wordErrorRate } from '../../support/word_errors.js';

const models = folderFrom('VOXPOD_TEST_MODELS');
const clips = folderFrom('VOXPOD_TEST_AUDIO');
const skip = skipUnless(['VOXPOD_TEST_MODELS', models], ['VOXPOD_TEST_AUDIO', clips]);
const sampleRate = 16_000;

describe('speech in batches', { skip }, () => {
  let whisper: Whisper;
  /** All clips, a second between them. */
  let samples: Float32Array = new Float32Array();
  let text = '';
  before(async () => {
    whisper = await Whisper.load(join(models ?? '', 'whisper-base'));
    const parts: Float32Array[] = [];
    const english = englishClips(clips ?? '');
    for (const { audio } of english) parts.push(await decodeAudio(audio), silence(1));
    samples = concatenate(...parts, ...parts);
    text = [...english, ...english].map((clip) => clip.text).join(' ');
  });
  after(() => whisper.dispose());

  const transcribe = (pcm: Float32Array, options: TranscribeOptions) =>
    whisper.transcribe({ samples: pcm, sampleRate }, { language: 'en', ...options });
  const check = (segments: Segment[], seconds: number): void => {
    let last = 0;
    for (const [i, { id, start, end }] of segments.entries()) {
      assert.equal(id, i);
      assert.ok(start >= last - 0.5 && end >= start && end <= seconds + 0.1, `${start} to ${end}`);
      last = end;
    }
  };

  it('has the text and the times of one window after another', async () => {
    const { segments, text: heard, detector } = await transcribe(samples, { batchSize: 4 });
    assert.equal(detector, 'energy');
    assert.ok(wordErrorRate([[text, heard]]) < 0.05, heard);
    check(segments, samples.length / sampleRate);
    const alone = await transcribe(samples, {});
    const near = (a: number | undefined, b: number | undefined): boolean =>
      Math.abs((a ?? 0) - (b ?? 0)) < 1;
    assert.ok(near(segments.at(-1)?.end, alone.segments.at(-1)?.end));
  });

  it('is the same whatever the batch, and whoever shares the engine', async () => {
    const [a, b, c] = await Promise.all([
      transcribe(samples, { batchSize: 2 }),
      transcribe(samples, { batchSize: 8 }),
      transcribe(samples, { batchSize: 3, beamSize: 2 }),
    ]);
    assert.deepEqual(a, b);
    assert.notEqual(c.segments.length, 0);
    assert.deepEqual(await transcribe(samples, { batchSize: 2 }), a);
  });

  it('has words that lie within their segments', async () => {
    const { segments } = await transcribe(samples, { batchSize: 8, wordTimestamps: true });
    for (const { start, end, words } of segments) {
      for (const word of words ?? []) {
        assert.ok(word.start >= start - 0.01 && word.end <= end + 0.01, JSON.stringify(word));
      }
    }
  });

  it('decodes the clips that it is told', async () => {
    const { segments, text: heard } = await transcribe(samples, {
      batchSize: 2,
      clipTimestamps: [0, 8, 60, 70],
    });
    assert.ok(heard.length > 20);
    for (const { start, end } of segments) {
      // A last timestamp may lie a little behind the clip, as everywhere in Whisper.
      assert.ok(end <= 9 || (start >= 59.9 && end <= 71), `${start} to ${end}`);
    }
  });

  for (const options of [{ vad: true }, { batchSize: 4 }]) {
    it(`invents nothing in silence, hiss and hum: ${JSON.stringify(options)}`, async () => {
      const quiet = concatenate(silence(20), hiss(20, 0.01), hum(20, 0.05));
      assert.deepEqual((await transcribe(quiet, options)).segments, []);
      const jfk = atDecibels(await decodeAudio(join(clips ?? '', 'jfk.wav')), -50);
      const between = concatenate(jfk, silence(20), jfk, hiss(10, 0.0005));
      const { text: heard, segments } = await transcribe(between, options);
      assert.equal(heard.match(/what your country can do for you/g)?.length, 2, heard);
      for (const { start, end } of segments) {
        assert.ok(end < 12 || start > 30, `${start} to ${end} is silence`);
      }
    });
  }

  it('stops when it is told to, and when the consumer leaves', async () => {
    const controller = new AbortController();
    const call = transcribe(samples, { batchSize: 4, signal: controller.signal });
    setTimeout(() => {
      controller.abort(new Error('enough'));
    }, 300);
    await assert.rejects(call, /enough/);
    for await (const segment of whisper.segments({ samples, sampleRate }, { batchSize: 4 })) {
      assert.equal(segment.id, 0);
      break;
    }
    assert.ok((await transcribe(samples, { batchSize: 4 })).segments.length > 0);
  });

  it('hears the language of every window', async () => {
    const chinese = await decodeAudio(join(clips ?? '', 'taiyi_zh.wav'));
    const english = await decodeAudio(join(clips ?? '', 'jfk.wav'));
    const { segments } = await whisper.transcribe(
      { samples: concatenate(english, silence(25), chinese), sampleRate },
      { batchSize: 2, multilingual: true },
    );
    assert.equal(segments[0]?.language, 'en');
    assert.equal(segments.at(-1)?.language, 'zh');
    assert.match(segments.at(-1)?.text ?? '', /\p{Script=Han}/u);
  });

  it('survives int8 weights', async () => {
    const small = await Whisper.load(join(models ?? '', 'whisper-base'), { dtype: 'int8' });
    try {
      assert.equal(small.info.dtype, 'int8');
      const options = { language: 'en', batchSize: 8 };
      const { text: heard } = await small.transcribe({ samples, sampleRate }, options);
      assert.ok(wordErrorRate([[text, heard]]) < 0.05, heard);
      const large = await Whisper.load(join(models ?? '', 'whisper-base'), { dtype: 'float32' });
      await large.dispose();
      assert.ok(small.info.weightBytes < 0.5 * large.info.weightBytes);
    } finally {
      await small.dispose();
    }
  });
});
