/** Parity of what lies around F5-TTS's model with f5-tts and pydub: VOXPOD_GOLDENS, f5/. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { rootMeanSquare } from '../../lib/audio/loudness.js';
import { collect } from '../../lib/audio/pcm.js';
import { resample } from '../../lib/audio/resample.js';
import { LevelMeter } from '../../lib/audio/silence.js';
import { openAudio } from '../../lib/audio/stream.js';
import { prepareReference } from '../../lib/f5/reference_audio.js';
import { clipReference } from '../../lib/f5/reference_clip.js';
import { referenceText } from '../../lib/f5/reference_text.js';
import { removeSilence } from '../../lib/f5/silence_removal.js';
import { folderFrom, nativeProblem } from '../support/needs.js';

const goldens = folderFrom('VOXPOD_GOLDENS');
const skip = goldens === undefined && 'VOXPOD_GOLDENS is not set';
const needsAddon = { skip: skip || (nativeProblem() ?? false) };
const root = join(goldens ?? '', 'f5');

const wav = async (...path: string[]): Promise<Float32Array> =>
  collect(await openAudio(join(root, ...path), { sampleRate: 24_000 }));

/** A tensor of float32 in a safetensors file. */
function tensor(file: string, name: string): Float32Array {
  const bytes = readFileSync(join(root, file));
  const head = 8 + Number(bytes.readBigUInt64LE(0));
  const all = JSON.parse(bytes.toString('utf8', 8, head)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] } | undefined
  >;
  const found = all[name];
  assert.equal(found?.dtype, 'F32', `${file}: ${name}`);
  const [from, to] = found.data_offsets;
  return new Float32Array(Uint8Array.from(bytes.subarray(head + from, head + to)).buffer);
}

/** Samples of 16 bits, as a WAV file has them. */
const in16Bits = (samples: Float32Array): Float32Array =>
  samples.map((x) => Math.round(x * 32_768) / 32_768);

describe('preparation of the reference', { skip }, () => {
  if (goldens === undefined) return;
  const names = ['short_edges', 'long_sil', 'short_sil', 'no_sil'];
  const sources: [string, () => Promise<Float32Array>][] = [
    ...names.map((name): [string, () => Promise<Float32Array>] => [
      name,
      () => wav('preprocess', `${name}.in.wav`),
    ]),
    ['basic_ref_en', () => Promise.resolve(in16Bits(tensor('mel/mels.safetensors', 'ref_en')))],
  ];
  for (const [name, source] of sources) {
    it(`takes the samples of ${name}`, async () => {
      const samples = await source();
      const { samples: clip, kept } = clipReference(samples, new LevelMeter(24_000).push(samples));
      assert.deepEqual(clip, await wav('preprocess', `${name}.out.wav`));
      const seconds = kept.reduce((sum, { start, end }) => sum + end - start, 0);
      assert.equal(Math.round(seconds * 24_000), clip.length - 1198);
    });

    it(`gives them out of the whole preparation of ${name}`, needsAddon, async () => {
      const reference = await prepareReference({ samples: await source(), sampleRate: 24_000 });
      const expected = await wav('preprocess', `${name}.out.wav`);
      assert.equal(reference.gain, Math.max(1, 0.1 / rootMeanSquare(expected)));
      const scaled = reference.samples.map((x) => x / reference.gain);
      assert.ok(scaled.every((x, i) => Math.abs(x - (expected[i] ?? NaN)) < 1e-6));
    });
  }

  it('ends the text as it does', () => {
    const cases = JSON.parse(readFileSync(join(root, 'preprocess', 'cases.json'), 'utf8')) as {
      ref_text_rule: Record<string, string>;
    };
    assert.ok(Object.keys(cases.ref_text_rule).length > 0);
    for (const [text, expected] of Object.entries(cases.ref_text_rule)) {
      assert.equal(referenceText(text), expected);
    }
  });
});

describe('long silence in speech', { skip }, () => {
  it('is taken out', async () => {
    const samples = await wav('preprocess', 'rmsil.in.wav');
    assert.deepEqual(removeSilence(samples), await wav('preprocess', 'rmsil.out.wav'));
  });
});

describe('resampling to the model', needsAddon, () => {
  for (const rate of [8000, 16_000, 22_050, 32_000, 44_100, 48_000]) {
    it(`goes from ${rate} Hz`, async () => {
      const file = 'mel/resample.safetensors';
      const ours = await resample(tensor(file, `in_${rate}`), rate, 24_000);
      const expected = tensor(file, `out_${rate}_to_24000`);
      assert.equal(ours.length, expected.length);
      for (const [i, sample] of ours.entries()) {
        assert.ok(Math.abs(sample - (expected[i] ?? NaN)) < 1e-6, `sample ${i}`);
      }
    });
  }
});
