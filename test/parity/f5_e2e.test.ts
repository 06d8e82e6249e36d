/**
 * F5-TTS from text to sound, against what the reference's infer_batch_process made with the small
 * random models in VOXPOD_GOLDENS: its own noise, durations, chunks, vocoder and cross-fades.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { amplify, rootMeanSquare } from '../../lib/audio/loudness.js';
import { concatenate } from '../../lib/audio/pcm.js';
import { resample } from '../../lib/audio/resample.js';
import { Call } from '../../lib/calls.js';
import { loadNative } from '../../lib/binding.js';
import { joinChunks } from '../../lib/f5/cross_fade.js';
import { sampleRate, hop } from '../../lib/f5/duration.js';
import { synthesize, VoiceMels, type LoadedF5 } from '../../lib/f5/synthesis.js';
import { F5Tokenizer } from '../../lib/f5/tokenizer.js';
import { Voice } from '../../lib/f5/voice.js';
import { readTensors } from '../lib/f5/safetensors.js';
import { folderFrom, nativeProblem } from '../support/needs.js';
import { pinyinFolder } from '../lib/text/chinese/fixtures.js';

interface Case {
  ref_text: string;
  gens: string[];
  seed: number;
  kwargs: {
    speed?: number;
    nfe_step?: number;
    cross_fade_duration?: number;
    fix_duration?: number;
  };
}

const goldens = folderFrom('VOXPOD_GOLDENS');
const root = join(goldens ?? '', 'f5');
/** The real one: `voxpod models pull f5-tts-vocabulary` gets it. */
const vocabulary = join(folderFrom('VOXPOD_TEST_MODELS') ?? '', 'f5-tts-vocabulary', 'vocab.txt');
const skip =
  nativeProblem() ??
  [root, vocabulary].map((path) => !existsSync(path) && `there is no ${path}`).find(Boolean) ??
  false;

const readJson = <Content>(...path: string[]): Content =>
  JSON.parse(readFileSync(join(root, ...path), 'utf8')) as Content;

/** max |a - b| / max |b| */
function relativeError(a: Float32Array, b: Float32Array | Float64Array): number {
  assert.equal(a.length, b.length);
  let [error, scale] = [0, 0];
  for (const [i, expected] of b.entries()) {
    const difference = Math.abs((a[i] ?? NaN) - expected);
    // Written so that NaN fails too.
    if (!(difference <= error)) error = difference;
    scale = Math.max(scale, Math.abs(expected));
  }
  return error / scale;
}

/** [frames, mels] of what is stored as [mels, frames]. */
function transposed(values: ArrayLike<number>, mels: number): Float32Array {
  const frames = values.length / mels;
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % mels) * frames + Math.floor(i / mels)] ?? NaN,
  );
}

describe('text to sound', { skip }, () => {
  if (skip !== false) return;
  const native = loadNative();
  const cases = readJson<Record<string, Case>>('e2e', 'cases.json');
  const call = new Call(new native.Cancellation(), undefined);
  let loaded: LoadedF5;

  before(async () => {
    const model = await native.loadF5(
      join(root, 'dit_v1', 'model.safetensors'),
      join(root, 'vocos', 'model.safetensors'),
      {
        ...{ device: 'cpu', dtype: 'float32', threads: 0, maxBatchFrames: 2000, maxQueue: 16 },
        architecture: { maskTextPadding: true, rotaryHeads: 'all', averageUpsampling: false },
      },
    );
    const pinyin = pinyinFolder();
    const tokenizer = await F5Tokenizer.load(vocabulary, pinyin === undefined ? {} : { pinyin });
    loaded = { native, model, tokenizer, mels: new VoiceMels(model) };
  });

  after(() => loaded.model.dispose());

  it('has the cases', () => {
    assert.deepEqual(Object.keys(cases).sort(), ['fixdur_zh', 'multi_quiet_44k', 'single']);
  });

  for (const [name, { ref_text, gens, seed, kwargs }] of Object.entries(cases)) {
    const isChinese = /\p{Script=Han}/u.test(gens.join(''));
    const reason = isChinese && pinyinFolder() === undefined && "there is no folder of pypinyin's";
    it(name, { skip: reason }, async () => {
      const golden = readTensors(join(root, 'e2e', `${name}.safetensors`));
      const [audio, wav, spec] = ['ref_audio', 'wav', 'spec'].map((key) => golden.get(key)?.values);
      assert.ok(audio instanceof Float32Array && wav !== undefined && spec !== undefined);
      // Of one of the cases only the rate tells how long it is.
      const rate = { single: 24_000, fixdur_zh: 24_000, multi_quiet_44k: 44_100 }[name] ?? NaN;
      const gain = Math.max(1, 0.1 / rootMeanSquare(audio));
      const samples = await resample(amplify(audio.slice(), gain), rate, sampleRate);
      const voice = new Voice(ref_text, { samples, gain });
      const { speed = 1, nfe_step: steps = 32, fix_duration } = kwargs;
      const frames =
        fix_duration === undefined
          ? undefined
          : Math.trunc((fix_duration * sampleRate) / hop) - Math.floor(samples.length / hop);
      const options = {
        ...{ seed, steps, cfgStrength: 2, swaySamplingCoef: -1, epss: true },
        ...{ method: 'euler' as const, signal: undefined, onProgress: undefined },
      };
      for (const firstAlone of [true, false]) {
        const utterances = gens.map((text) => ({ text, voice, speed, frames }));
        const [sounds, mels]: [Float32Array[], Float32Array[]] = [[], []];
        const spoken = synthesize(loaded, call, utterances, { ...options, firstAlone }, () => {});
        for await (const { samples: sound, mel } of spoken) {
          sounds.push(sound);
          mels.push(mel);
        }
        const mel = relativeError(concatenate(mels), transposed(spec, 100));
        assert.ok(mel < 1e-4, `the mel differs by ${mel}`);
        const { cross_fade_duration: crossFade = 0.15 } = kwargs;
        const sound = relativeError(joinChunks(sounds, { sampleRate, crossFade }), wav);
        assert.ok(sound < 1e-4, `the sound differs by ${sound}`);
      }
    });
  }
});
