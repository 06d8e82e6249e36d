/** Whisper over the addon: what callers do right and wrong. Models come from the environment. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { VoxpodError } from '../../../lib/errors.js';
import type { Segment, TranscribeOptions, Transcript } from '../../../lib/whisper/types.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { tone, wavBytes } from '../audio/wav_bytes.js';
import { collectGarbage } from '../../support/garbage.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { goldenModel, noise, plain } from './support.js';

const goldens = folderFrom('VOXPOD_GOLDENS');

const sound = noise(70);
describe('a small model', { skip: skipUnless(['VOXPOD_GOLDENS', goldens]) }, () => {
  let folder = '';
  let whisper: Whisper;
  before(async () => {
    folder = await goldenModel(join(goldens ?? '', 'whisper', 'tiny80'));
    whisper = await Whisper.load(folder, { dtype: 'float32' });
  });
  after(async () => {
    await whisper.dispose();
    await rm(folder, { recursive: true });
  });

  it('says what it is', () => {
    const { info } = whisper;
    assert.equal(info.folder, folder);
    assert.equal(info.device, 'cpu');
    assert.equal(info.dtype, 'float32');
    assert.equal(info.multilingual, true);
    assert.deepEqual(info.languages, ['en', 'zh', 'de']);
    assert.equal(info.geometry.width, 64);
    assert.ok(info.weightBytes > 1_000_000);
  });

  it('yields the segments of the whole transcript, with progress', async () => {
    const positions: number[] = [];
    const segments: Segment[] = [];
    const iterator = whisper.segments(sound, {
      ...plain,
      onProgress: ({ position, duration }) => {
        assert.equal(duration, 70);
        positions.push(position);
      },
    });
    let result: Transcript;
    for (;;) {
      const step = await iterator.next();
      if (step.done === true) {
        result = step.value;
        break;
      }
      segments.push(step.value);
    }
    assert.deepEqual(result.segments, segments);
    assert.ok(segments.length > 1);
    assert.equal(result.language, 'en');
    assert.equal('languageProbability' in result, false);
    assert.equal(result.duration, 70);
    assert.deepEqual(
      positions.toSorted((a, b) => a - b),
      positions,
    );
    assert.equal(positions.at(-1), 70);
    assert.deepEqual(result, await whisper.transcribe(sound, plain));
  });

  it('detects the language, which transcribe then takes', async () => {
    const detected = await whisper.detectLanguage(sound);
    const values = Object.values(detected.probabilities);
    assert.deepEqual(Object.keys(detected.probabilities), ['en', 'zh', 'de']);
    assert.ok(Math.abs(values.reduce((sum, p) => sum + p, 0) - 1) < 1e-4);
    assert.equal(detected.probability, Math.max(...values));
    const rest = { ...plain };
    delete rest.language;
    const transcript = await whisper.transcribe(sound, rest);
    assert.equal(transcript.language, detected.language);
    assert.equal(transcript.languageProbability, detected.probability);
    const given = await whisper.transcribe(sound, { ...rest, language: detected.language });
    assert.equal(transcript.text, given.text);
  });

  it('samples the same from the same seed, whatever else runs', async () => {
    const options = { ...plain, temperature: 0.8, bestOf: 3, seed: 7 };
    const alone = await whisper.transcribe(sound, options);
    const [first, , third] = await Promise.all([
      whisper.transcribe(sound, options),
      whisper.transcribe(noise(40), { ...options, seed: 8 }),
      whisper.transcribe(sound, options),
    ]);
    assert.deepEqual(first, alone);
    assert.deepEqual(third, alone);
    const other = await whisper.transcribe(sound, { ...options, seed: 9 });
    assert.notEqual(other.text, alone.text);
  });

  it('falls back through the temperatures', async () => {
    const options = { ...plain, temperature: [0, 0.4, 1], logProbThreshold: 0 };
    const transcript = await whisper.transcribe(sound, options);
    assert.ok(transcript.segments.length > 0);
    assert.ok(transcript.segments.every(({ temperature }) => temperature === 1));
  });

  it('searches with beams, the same alone and beside others', async () => {
    const options = { ...plain, beamSize: 5, patience: 1.5, lengthPenalty: 0.5 };
    const alone = await whisper.transcribe(sound, options);
    assert.notEqual(alone.text, (await whisper.transcribe(sound, plain)).text);
    const [first, , third] = await Promise.all([
      whisper.transcribe(sound, options),
      whisper.transcribe(noise(40), { ...plain, temperature: 0.9, bestOf: 3 }),
      whisper.transcribe(sound, { ...options, wordTimestamps: false }),
      whisper.transcribe(noise(35), { ...options, beamSize: 3, patience: 1 }),
    ]);
    assert.deepEqual(first, alone);
    assert.deepEqual(third, alone);
    // Above temperature 0 samples are drawn, not beams.
    const warm = { ...plain, temperature: 0.7, bestOf: 2 };
    assert.deepEqual(
      await whisper.transcribe(sound, { ...warm, beamSize: 4 }),
      await whisper.transcribe(sound, warm),
    );
  });

  it('repeats no run of tokens where told so', async () => {
    const options = { ...plain, withoutTimestamps: true, noRepeatNgramSize: 2 };
    const { segments } = await whisper.transcribe(sound, options);
    for (const { tokens } of segments) {
      const pairs = tokens.slice(1).map((token, i) => `${tokens[i] ?? ''} ${token}`);
      assert.equal(new Set(pairs).size, pairs.length);
    }
    const before = await whisper.transcribe(sound, plain);
    const penalised = await whisper.transcribe(sound, { ...plain, repetitionPenalty: 5 });
    const kinds = (text: string): number => new Set(text).size;
    assert.ok(kinds(penalised.text) > kinds(before.text));
  });

  it('listens to clips alone', async () => {
    const options = { ...plain, clipTimestamps: [5, 12, 40, 45.5], wordTimestamps: true };
    const { segments } = await whisper.transcribe(sound, options);
    const starts = new Set(segments.map(({ seek }) => seek));
    assert.ok(starts.has(500) && starts.has(4000));
    for (const seek of starts) {
      assert.ok((seek >= 500 && seek < 1200) || (seek >= 4000 && seek < 4550), String(seek));
    }
    const last = await whisper.transcribe(sound, { ...options, clipTimestamps: [69, 69.5] });
    assert.ok(last.segments.length > 0);
    for (const { end, words = [] } of last.segments) {
      assert.ok(end <= 70 && words.every((word) => word.end <= 70), String(end));
    }
    const behind = await whisper.transcribe(sound, { ...plain, clipTimestamps: [71] });
    assert.deepEqual([behind.text, behind.segments], ['', []]);
  });

  it('gives words in order, inside their segments', async () => {
    const options = { ...plain, wordTimestamps: true, appendPunctuations: '' };
    const { segments } = await whisper.transcribe(sound, options);
    const words = segments.flatMap((segment) => segment.words ?? []);
    assert.ok(words.length > 5);
    for (const [i, { start, end, probability }] of words.entries()) {
      assert.ok(start <= end && start >= (words[i - 1]?.start ?? 0) && end <= 70);
      assert.ok(probability > 0 && probability <= 1);
    }
    for (const { text, words: own } of segments) {
      assert.equal(own?.map(({ word }) => word).join(''), text);
    }
    const none = await whisper.transcribe(sound, plain);
    assert.ok(none.segments.every((segment) => !('words' in segment)));
  });

  it('goes on behind a prefix, and hears hotwords in every window', async () => {
    const before = await whisper.transcribe(sound, plain);
    for (const extra of [{ prefix: 'abc' }, { hotwords: 'xyz' }]) {
      const { text } = await whisper.transcribe(sound, { ...plain, ...extra });
      assert.notEqual(text, before.text);
    }
    for (const extra of [{ prefix: ' ' }, { hotwords: '' }]) {
      assert.equal((await whisper.transcribe(sound, { ...plain, ...extra })).text, before.text);
    }
    // Both together longer than the context.
    const long = { prefix: 'p '.repeat(900), hotwords: 'h '.repeat(900), wordTimestamps: true };
    const options = { ...plain, ...long, initialPrompt: 'i '.repeat(900), sampleLength: 448 };
    assert.ok((await whisper.transcribe(noise(65), options)).segments.length > 0);
  });

  it('takes prompts that fill the text context', async () => {
    const options = { ...plain, initialPrompt: 'abc '.repeat(300), sampleLength: 224 };
    const transcript = await whisper.transcribe(noise(35), options);
    assert.ok(transcript.segments.length > 0);
    const carried = { ...options, carryInitialPrompt: true, withoutTimestamps: true };
    assert.ok((await whisper.transcribe(noise(35), carried)).segments.length > 0);
  });

  it('frees the samples that it decoded, and keeps those it was given', async () => {
    // 38 MB as samples.
    const bytes = wavBytes({ data: tone(600 * 16_000) });
    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    const kept: number[] = [];
    for (const audio of [bytes, sound]) {
      for await (const segment of whisper.segments(audio, plain)) {
        assert.equal(segment.id, 0);
        kept.push(process.memoryUsage().arrayBuffers - before);
        break;
      }
    }
    assert.ok(Math.max(...kept) < 5e6, `${kept.join(' and ')} bytes`);
    assert.equal(bytes.length, 44 + 2 * 600 * 16_000);
    assert.equal(sound.samples.length, 70 * 16_000);
  });

  it('refuses what its queue cannot hold, and goes on to work', async () => {
    const model = await Whisper.load(folder, { maxQueue: 1 });
    try {
      const calls = Array.from({ length: 12 }, () => model.transcribe(sound, plain));
      const outcomes = await Promise.allSettled(calls);
      const refused = outcomes.filter(({ status }) => status === 'rejected');
      assert.ok(refused.length > 0 && refused.length < 12, `${refused.length} of 12 refused`);
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        assert.ok(outcome.reason instanceof VoxpodError && outcome.reason.code === 'QUEUE_FULL');
      }
      assert.ok((await model.transcribe(sound, plain)).segments.length > 0);
    } finally {
      await model.dispose();
    }
  });

  describe('given wrong input', () => {
    const cases: [string, unknown, TranscribeOptions, string][] = [
      ['one sample', { samples: new Float32Array(1), sampleRate: 16_000 }, {}, 'AUDIO_EMPTY'],
      ['no sample', { samples: new Float32Array(0), sampleRate: 16_000 }, {}, 'AUDIO_EMPTY'],
      [
        'NaN',
        { samples: new Float32Array(999).fill(NaN), sampleRate: 16_000 },
        {},
        'AUDIO_INVALID',
      ],
      ['a missing file', '/nonexistent.wav', {}, 'AUDIO_NOT_FOUND'],
      ['a number for audio', 5, {}, 'INVALID_ARGUMENT'],
      ['an unknown language', sound, { language: 'klingon' }, 'LANGUAGE_UNKNOWN'],
      ['a language it lacks', sound, { language: 'french' }, 'LANGUAGE_UNKNOWN'],
      ['an unknown option', sound, { beam: 5 } as TranscribeOptions, 'INVALID_ARGUMENT'],
      ['a token beyond the vocabulary', sound, { suppressTokens: [1768] }, 'INVALID_ARGUMENT'],
    ];
    for (const [name, audio, options, code] of cases) {
      it(`refuses ${name} with ${code}`, async () => {
        await assert.rejects(whisper.transcribe(audio as string, options), { code });
      });
    }

    it('throws wrong options from segments() itself', () => {
      assert.throws(() => whisper.segments(sound, { task: 'sing' as 'translate' }), {
        code: 'INVALID_ARGUMENT',
      });
    });
  });
});
