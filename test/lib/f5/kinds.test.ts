/** Every kind of model that F5TTS loads, small and with random weights: E2-TTS, BigVGAN, other tokens. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { F5TTS, Voice, type F5Options, type Speech } from '../../../lib/index.js';
import { packageRoot } from '../../../lib/package_root.js';
import { nativeProblem } from '../../support/needs.js';
import { writeTinyModel, type TinyModel } from './tiny_model.js';

const skip = nativeProblem() ?? false;
const reference = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const said =
  'Yesterday it was raining all day long. Today the sun is shining and the children are playing in the garden.';
const text = 'The weather is fine, and so are we.';

describe('F5TTS of each kind', { skip }, () => {
  let folder: string;
  let voice: Voice;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-f5-'));
    voice = await Voice.prepare(reference, { text: said });
  });

  after(() => rm(folder, { recursive: true }));

  async function withModel<Result>(
    model: TinyModel,
    use: (f5: F5TTS) => Promise<Result>,
    options: F5Options = { dtype: 'float32' },
  ): Promise<Result> {
    const place = join(folder, `${model.kind ?? 'v1'}-${model.tokenizer ?? 'pinyin'}`);
    await writeTinyModel(place, model);
    const f5 = await F5TTS.load(place, options);
    try {
      return await use(f5);
    } finally {
      await f5.dispose();
    }
  }

  const speak = (f5: F5TTS, what = text): Promise<Speech> =>
    f5.speak(what, { voice, seed: 7, steps: 4 });

  /** Sound, the same whatever else is said, and of what was asked for. */
  async function speaksWell(f5: F5TTS): Promise<Speech> {
    const alone = await speak(f5);
    assert.ok(alone.samples.every((sample) => Math.abs(sample) <= 4));
    assert.ok(alone.samples.some((sample) => Math.abs(sample) > 1e-4));
    const [beside] = await Promise.all([speak(f5), speak(f5, 'Something else. '.repeat(20))]);
    assert.deepEqual(beside.samples, alone.samples);
    const other = await f5.speak(text, { voice, seed: 8, steps: 4 });
    assert.notDeepEqual(other.samples, alone.samples);
    const guided = await f5.speak(text, { voice, seed: 7, steps: 4, cfgStrength: 0 });
    assert.notDeepEqual(guided.samples, alone.samples);
    const elsewhere = await speak(f5, 'The weather is foul, and so are we.');
    assert.equal(elsewhere.samples.length, alone.samples.length);
    assert.notDeepEqual(elsewhere.samples, alone.samples);
    return alone;
  }

  for (const kind of ['v1', 'v0', 'bigvgan', 'e2'] as const) {
    for (const dtype of ['float32', 'bfloat16'] as const) {
      it(`${kind} speaks in ${dtype}`, async () => {
        await withModel(
          { kind },
          async (f5) => {
            assert.equal(f5.info.dtype, dtype);
            const { backbone, vocoder } = f5.info.geometry;
            assert.equal(backbone, kind === 'e2' ? 'unett' : 'dit');
            assert.equal(vocoder, kind === 'bigvgan' ? 'bigvgan' : 'vocos');
            await speaksWell(f5);
          },
          { dtype },
        );
      });
    }
  }

  it('E2-TTS and BigVGAN stream, pause, and speak parts of a recording anew', async () => {
    for (const kind of ['e2', 'bigvgan'] as const) {
      await withModel({ kind }, async (f5) => {
        const options = { voice, seed: 7, steps: 4 };
        let samples = 0;
        for await (const block of f5.stream(`${text} [pause:0.5s] `.repeat(3) + text, options)) {
          samples += block.samples.length;
        }
        const { duration } = await speak(f5);
        assert.ok(samples / 24_000 > 4 * duration + 1, `${samples / 24_000} ${duration}`);
        const edits = [{ start: 0.84, end: 1.34, duration: 1 }];
        const edited = await f5.edit(reference, { text: said, edits, seed: 7, steps: 4 });
        assert.ok(Math.abs(edited.duration - 7.5 - 0.5) < 0.05, String(edited.duration));
        const timed = await f5.speak(text, { ...options, duration: 5 });
        assert.ok(Math.abs(timed.duration - 5) < 0.011, String(timed.duration));
      });
    }
  });

  it('BigVGAN makes a frame more of the same mel than Vocos', async () => {
    const [vocos, bigvgan] = [
      await withModel({ kind: 'v0' }, (f5) => speak(f5)),
      await withModel({ kind: 'bigvgan' }, (f5) => speak(f5)),
    ];
    assert.equal(bigvgan.samples.length, vocos.samples.length + 256);
  });

  it('characters are tokens, or bytes, as the config of the training says', async () => {
    const warned = async (tokenizer: 'char' | 'byte', what: string): Promise<string> => {
      const speech = await withModel({ tokenizer }, async (f5) => {
        assert.equal(f5.info.geometry.vocabulary, tokenizer === 'byte' ? 256 : 103);
        await speaksWell(f5);
        return speak(f5, what);
      });
      assert.ok(speech.duration > 0);
      return speech.warnings.join();
    };
    assert.match(await warned('char', 'Hello, мир.'), /does not know these letters.*: м и р$/);
    // Bytes know every letter there is, and Chinese without a dictionary.
    assert.equal(await warned('byte', 'Hello, мир. 你好，世界。'), '');
  });

  it('Chinese needs dictionaries only where it is read in pinyin', async () => {
    const chinese = '你好，世界。';
    const { duration } = await withModel({ tokenizer: 'char' }, (f5) => speak(f5, chinese));
    assert.ok(duration > 0.5);
    await withModel({}, (f5) => assert.rejects(speak(f5, chinese), { code: 'MODEL_NOT_FOUND' }));
  });
});
