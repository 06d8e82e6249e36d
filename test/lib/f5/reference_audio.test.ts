import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { encodeAudio } from '../../../lib/audio/encode.js';
import { rootMeanSquare } from '../../../lib/audio/loudness.js';
import { concatenate } from '../../../lib/audio/pcm.js';
import { prepareReference, type ReferenceOptions } from '../../../lib/f5/reference_audio.js';
import { textForKeptAudio } from '../../../lib/f5/reference_text.js';
import { packageRoot } from '../../../lib/package_root.js';
import type { AudioSource } from '../../../lib/audio/source.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { englishClips } from '../../support/clips.js';
import { leastLateness } from '../../support/lateness.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { wordErrorRate } from '../../support/word_errors.js';
import { wavBytes } from '../audio/wav_bytes.js';
import { bursts, noise } from './sounds.js';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const needsFfmpeg = hasFfmpeg ? {} : { skip: 'ffmpeg is not installed' };
const fixture = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const rate = 24_000;
const at24 = (samples: Float32Array) => ({ samples, sampleRate: rate });

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voxpod-reference-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

/** Without the addon nothing can be resampled, so that speech is not looked for either. */
const skip = skipUnless();

describe('the preparation of a reference', { skip }, () => {
  it('keeps speech, without a warning, and ends it with 50 ms of silence', async () => {
    const reference = await prepareReference(fixture);
    assert.deepEqual(reference.warnings, []);
    assert.equal(reference.sampleRate, rate);
    const [kept] = reference.kept;
    assert.equal(reference.kept.length, 1);
    const length = (kept!.end - kept!.start) * rate;
    assert.ok(Math.abs(reference.samples.length - length - 1200) < 50);
    assert.ok(reference.duration > length / rate && reference.duration < 7.5);
    assert.ok(reference.samples.subarray(-1100).every((x) => Math.abs(x) < 0.01));
    assert.ok(reference.sounding.length > 0);
  });

  it('raises what is quiet to the target, and says by how much', async () => {
    const loud = await prepareReference(fixture, { targetRms: 0.001 });
    assert.equal(loud.gain, 1);
    const raised = await prepareReference(fixture, { targetRms: 0.3 });
    assert.ok(Math.abs(rootMeanSquare(raised.samples) - 0.3) < 0.003);
    const expected = loud.samples.map((x) => x * raised.gain);
    assert.ok(raised.samples.every((x, i) => Math.abs(x - (expected[i] ?? 0)) < 1e-5));
  });

  it('resamples after the cut, from whatever rate', async () => {
    const own = await prepareReference(fixture);
    for (const other of [16_000, 44_100, 48_000]) {
      const samples = await decodeAudio(fixture, { sampleRate: other });
      const { kept, samples: made } = await prepareReference({ samples, sampleRate: other });
      assert.ok(Math.abs(kept[0]!.start - own.kept[0]!.start) <= 0.02);
      assert.ok(Math.abs(kept[0]!.end - own.kept[0]!.end) <= 0.02);
      assert.ok(Math.abs(made.length - own.samples.length) < 1000);
    }
  });

  it('takes encoded audio', needsFfmpeg, async () => {
    const path = join(folder, 'weather.mp3');
    execFileSync('ffmpeg', ['-v', 'error', '-i', fixture, path]);
    const { warnings, samples } = await prepareReference(path);
    assert.deepEqual(warnings, []);
    assert.ok(samples.length > 5 * rate);
  });

  it('mixes channels down', async () => {
    const mono = await encodeAudio(bursts(rate, [2]));
    // The other channel is silent.
    const data = Buffer.alloc(2 * (mono.length - 44));
    for (let i = 44; i < mono.length; i += 2) data.set(mono.subarray(i, i + 2), 2 * (i - 44));
    const stereo = wavBytes({ channels: 2, sampleRate: rate, data });
    const [one, two] = [await prepareReference(mono), await prepareReference(stereo)];
    assert.equal(two.samples.length, one.samples.length);
    // Their mean is half as loud, so that it is raised by more.
    assert.ok(two.gain > one.gain);
    const ratio = (2 * one.gain) / two.gain;
    assert.ok(two.samples.every((x, i) => Math.abs(x * ratio - (one.samples[i] ?? 0)) < 1e-6));
  });

  it('takes at most 12 s of what is longer, and says so', async () => {
    const cases: [Float32Array, RegExp, number][] = [
      [bursts(rate, [5, 1.5, 5, 1.5, 5]), /where it is silent/, 12],
      [bursts(rate, [30]), /in the midst of speech/, 12],
      [bursts(rate, [7, 0.3, 9]), /where it is silent/, 7.2],
    ];
    for (const [samples, message, seconds] of cases) {
      const { kept, warnings, samples: made } = await prepareReference(at24(samples));
      assert.match(warnings.join(' '), message);
      const length = kept.reduce((sum, { start, end }) => sum + end - start, 0);
      assert.ok(length <= 12 && length > seconds - 0.6, `${length} s`);
      assert.equal(made.length, Math.round(length * rate) + 1198);
    }
  });

  it('tells which parts were kept', async () => {
    const samples = bursts(rate, [2, 4, 2, 5, 2]);
    const { kept, samples: made, gain } = await prepareReference(at24(samples));
    assert.deepEqual(
      kept.map(({ start, end }) => [start, end].map((x) => Math.round(x * 10) / 10)),
      [
        [0, 3],
        [5, 9],
        [12, 15],
      ],
    );
    const parts = kept.map(({ start, end }) =>
      samples.subarray(Math.round(start * rate), Math.round(end * rate)),
    );
    const expected = concatenate(parts).map((x) => x * gain);
    assert.ok(expected.every((x, i) => Math.abs(x - (made[i] ?? 0)) < 1e-6));
  });

  it('accepts ten minutes without holding others up', async () => {
    const samples = noise(600 * rate, 0.2);
    const late = await leastLateness(() => prepareReference(at24(samples)), 100);
    assert.ok(late < 100, `${late} ms`);
    await assert.rejects(prepareReference(at24(noise(601 * rate, 0.2))), {
      code: 'AUDIO_TOO_LARGE',
    });
  });

  it('warns of noise, of what is short, overdriven or very quiet, and takes it', async () => {
    const speech = await decodeAudio(fixture, { sampleRate: rate });
    const cases: [Float32Array, RegExp][] = [
      [noise(4 * rate, 0.1), /not sound like speech/],
      [
        new Float32Array(4 * rate).map((_, i) => 0.3 * Math.sin(i * 0.013)),
        /not sound like speech/,
      ],
      [speech.subarray(rate / 2, 1.2 * rate), /is short/],
      [speech.map((x) => 30 * x).map((x) => Math.max(-1, Math.min(1, x))), /overdriven/],
      [speech.map((x) => x * 0.01), /very quiet/],
    ];
    for (const [samples, message] of cases) {
      const { warnings, samples: made } = await prepareReference(at24(samples));
      assert.match(warnings.join(' '), message);
      assert.ok(made.length > 0.3 * rate && made.every((x) => Number.isFinite(x)));
    }
    const quiet = await prepareReference(at24(speech.map((x) => x * 0.01)));
    assert.ok(rootMeanSquare(quiet.samples) > 0.09);
    assert.ok(quiet.samples.length > 4 * rate);
  });

  it('leaves the given samples alone', async () => {
    const samples = noise(2 * rate, 0.02).map((x, i) => (i === 5 ? 1.5 : x));
    const copy = samples.slice();
    await prepareReference(at24(samples));
    assert.deepEqual(samples, copy);
  });

  const refused: [string, AudioSource, string, ReferenceOptions?][] = [
    ['silence', at24(new Float32Array(2 * rate)), 'AUDIO_EMPTY'],
    ['hiss below hearing', at24(noise(2 * rate, 0.0005)), 'AUDIO_EMPTY'],
    ['a click', at24(bursts(rate, [0, 1, 0.01, 1])), 'AUDIO_INVALID'],
    ['0.2 s', at24(noise(0.2 * rate, 0.3)), 'AUDIO_INVALID'],
    ['no samples', at24(new Float32Array(0)), 'AUDIO_EMPTY'],
    ['NaN', at24(noise(rate, 0.3).fill(NaN, 7, 8)), 'AUDIO_INVALID'],
    ['infinity', at24(noise(rate, 0.3).fill(Infinity, 7, 8)), 'AUDIO_INVALID'],
    ['samples of another scale', at24(noise(rate, 20_000)), 'AUDIO_INVALID'],
    ['a missing file', join(tmpdir(), 'nothing', 'here.wav'), 'AUDIO_NOT_FOUND'],
    ['a loudness of NaN', at24(noise(rate, 0.3)), 'INVALID_ARGUMENT', { targetRms: NaN }],
    ['an unknown option', at24(noise(rate, 0.3)), 'INVALID_ARGUMENT', { rms: 1 } as object],
  ];
  for (const [name, source, code, options] of refused) {
    it(`refuses ${name} with ${code}`, async () => {
      await assert.rejects(prepareReference(source, options), { code });
    });
  }

  it('stops on abort', async () => {
    const reason = new Error('never mind');
    const signal = AbortSignal.abort(reason);
    await assert.rejects(prepareReference(fixture, { signal }), reason);
  });
});

const audio = folderFrom('VOXPOD_TEST_AUDIO');
const models = folderFrom('VOXPOD_TEST_MODELS');
const skipReal = skipUnless(['VOXPOD_TEST_AUDIO', audio], ['VOXPOD_TEST_MODELS', models]);

describe('real speech', { skip: skipReal }, () => {
  if (audio === undefined || models === undefined) return;
  const clips = englishClips(audio);

  it('is kept whole, without a warning, where it is short', async () => {
    for (const clip of clips) {
      const reference = await prepareReference(clip.audio);
      assert.deepEqual(reference.warnings, [], clip.name);
      assert.equal(textForKeptAudio(clip.text, reference).method, 'whole', clip.name);
    }
  });

  it('has the text of what was kept where it is too long', async () => {
    const whisper = await Whisper.load(join(models, 'whisper-base'), { dtype: 'float32' });
    try {
      const texts: [string, string][] = [];
      for (const [i, clip] of clips.entries()) {
        const next = clips[(i + 1) % clips.length]!;
        const gap = new Float32Array((i % 2) * 0.4 * rate);
        const [one, two] = await Promise.all(
          [clip, next].map(({ audio: path }) => decodeAudio(path, { sampleRate: rate })),
        );
        const source = at24(concatenate([one!, gap, two!]));
        const reference = await prepareReference(source);
        if (reference.duration < 12.5) continue;
        const { segments } = await whisper.transcribe(source, { wordTimestamps: true });
        const words = segments.flatMap((segment) => segment.words ?? []);
        const kept = textForKeptAudio(`${clip.text} ${next.text}`, reference, words);
        assert.equal(kept.method, 'words', clip.name);
        const heard = await whisper.transcribe(at24(reference.samples));
        texts.push([heard.text, kept.text]);
      }
      assert.ok(texts.length >= 3);
      const rateOfErrors = wordErrorRate(texts);
      assert.ok(rateOfErrors < 0.08, `${rateOfErrors}: ${JSON.stringify(texts)}`);
    } finally {
      await whisper.dispose();
    }
  });
});
