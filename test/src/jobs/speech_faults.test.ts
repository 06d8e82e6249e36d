/** What is sent or lies on the disk may be anything: each fault has its code, and the next job is right. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { noise } from '../../lib/f5/sounds.js';
import { tinyVocabulary, writeTinyModel } from '../../lib/f5/tiny_model.js';
import { runningPickle, torchZip } from '../../lib/f5/torch_zip.js';
import { tone, wavBytes } from '../../lib/audio/wav_bytes.js';
import { nativeProblem } from '../../support/needs.js';
import { whyNotReal } from '../models/real.js';
import { job, soundOf, speechJobs, type SpeechJobs } from './speech_fixture.js';

describe('faults of speech jobs', { skip: nativeProblem() ?? false }, () => {
  let jobs: SpeechJobs;
  /** Is there where code out of a pickle was run. */
  let trace: string;
  let right: Buffer;

  before(async () => {
    jobs = await speechJobs(brokenModels);
    right = soundOf(await jobs.run(job));
  });

  after(() => jobs.close());

  async function brokenModels(folder: string): Promise<Map<string, string>> {
    trace = join(folder, 'trace');
    const names = ['nan', 'misfit', 'pickle', 'legacy', 'vocoder', 'cut'];
    const models = new Map(names.map((name) => [name, join(folder, name)]));
    for (const place of models.values()) await writeTinyModel(place);
    const file = (name: string, ...rest: string[]): string => join(folder, name, ...rest);
    const checkpoint = ['F5TTS_v1_Base', 'model_1250000.safetensors'];
    await writeTinyModel(file('nan'), {
      change: (tensors) => tensors.get('ema_model.transformer.proj_out.bias')?.values.fill(NaN),
    });
    writeFileSync(file('misfit', 'F5TTS_v1_Base', 'vocab.txt'), `${tinyVocabulary}one more\n`);
    const pickle = runningPickle(`touch '${trace}'`);
    for (const [name, bytes] of [
      ['pickle', torchZip(pickle)],
      ['legacy', pickle],
    ] as const) {
      rmSync(file(name, ...checkpoint));
      writeFileSync(file(name, 'F5TTS_v1_Base', 'model_1250000.pt'), bytes);
    }
    rmSync(file('vocoder', 'vocoder', 'model.safetensors'));
    writeFileSync(file('vocoder', 'vocoder', 'pytorch_model.bin'), torchZip(pickle));
    writeFileSync(file('cut', ...checkpoint), Buffer.from('not a model'));
    return models;
  }

  async function isRight(): Promise<void> {
    assert.ok(soundOf(await jobs.run(job)).equals(right));
  }

  const wav = (samples: Float32Array, sampleRate = 24_000): string => {
    const data = Buffer.from(Int16Array.from(samples, (sample) => 32_767 * sample).buffer);
    return wavBytes({ data, sampleRate }).toString('base64');
  };

  test('a model whose weights are no numbers, or whose files are of different models', async () => {
    const rows: [string, string, RegExp][] = [
      ['nan', 'MODEL_INVALID', /NaN|not finite|no numbers/i],
      ['misfit', 'TOKENIZER_INVALID', /104 tokens, the other 103/],
      ['cut', 'CHECKPOINT_CORRUPT', /model_1250000\.safetensors/],
    ];
    for (const [model, code, message] of rows) {
      await assert.rejects(jobs.run({ ...job, model }), { code, message }, model);
      await isRight();
    }
  });

  test('a pickle that would run code is not run', async () => {
    // It would, where a pickle is loaded as Python does it.
    const python = spawnSync(
      'python3',
      ['-c', 'import pickle, sys; pickle.load(sys.stdin.buffer)'],
      { input: runningPickle(`touch '${trace}'`) },
    );
    if (python.status === 0) {
      assert.ok(existsSync(trace));
      rmSync(trace);
    }
    const notRun = /wants Python to load posix\.system.*it was not run/;
    const rows: [string, string, RegExp][] = [
      ['pickle', 'MODEL_INVALID', notRun],
      ['vocoder', 'MODEL_INVALID', notRun],
      ['legacy', 'CHECKPOINT_CORRUPT', /model_1250000\.pt/],
    ];
    for (const [model, code, message] of rows) {
      await assert.rejects(jobs.run({ ...job, model }), { code, message }, model);
      assert.ok(!existsSync(trace), model);
      await isRight();
    }
  });

  test('texts with nothing in them, and with too much', async () => {
    const rows: [unknown, string, RegExp][] = [
      ['', 'JOB_INVALID', /something to say/],
      [' \n\t ', 'JOB_INVALID', /something to say/],
      ['🙂 🙃 👩‍👩‍👧‍👦', 'JOB_INVALID', /something to say/],
      ['?!… —', 'JOB_INVALID', /something to say/],
      ['word '.repeat(20_000), 'JOB_INVALID', /text: .*50000/],
      ['[pause:1s] 🙂 [pause:1s]', 'INVALID_ARGUMENT', /nothing to say/],
      ['Hello [nobody] there.', 'INVALID_ARGUMENT', /no voice "nobody"/],
      [7, 'JOB_INVALID', /text/],
    ];
    for (const [text, code, message] of rows) {
      await assert.rejects(
        jobs.run({ ...job, text }),
        { code, message },
        String(text).slice(0, 30),
      );
    }
    for (const speed of [0, -1, NaN, 1e9, '1']) {
      await assert.rejects(jobs.run({ ...job, speed }), { code: 'JOB_INVALID', message: /speed/ });
    }
    // Emoji beside words are nothing to say, and no harm.
    assert.ok((await jobs.run({ ...job, text: 'Hello there 🙂👩‍👩‍👧‍👦!' })).duration > 0.5);
    await isRight();
  });

  test('a reference of 0.1 s, of silence, and of nothing', async () => {
    const rows: [string, string, RegExp][] = [
      [wav(noise(2400, 0.3)), 'AUDIO_INVALID', /0\.3 s/],
      [wav(new Float32Array(72_000)), 'AUDIO_EMPTY', /silent/],
      [wav(new Float32Array(0)), 'AUDIO_EMPTY', /no samples/],
    ];
    for (const [reference_audio_base64, code, message] of rows) {
      for (const reference_text of [job.reference_text, null]) {
        const sent = { ...job, reference_audio_base64, reference_text };
        await assert.rejects(jobs.run(sent), { code, message });
      }
    }
    await isRight();
  });

  test('a reference of noise is spoken with, and warned of', async () => {
    const noisy = { ...job, reference_audio_base64: wav(noise(24_000 * 6, 0.3)) };
    const { warnings, duration } = await jobs.run(noisy);
    assert.ok(duration > 0);
    assert.match(warnings.join(), /does not sound like speech/);
    await isRight();
  });

  test('noise in which nobody can be heard', { skip: whyNotReal(false) }, async () => {
    const reference_audio_base64 = wav(noise(24_000 * 6, 0.3));
    const noisy = { ...job, reference_audio_base64, reference_text: null };
    await assert.rejects(jobs.run(noisy), { code: 'AUDIO_INVALID', message: /nothing is heard/i });
    await isRight();
  });

  test('a reference of 10 minutes is cut, and a longer one refused', async () => {
    const hum = (seconds: number): string =>
      wavBytes({ data: tone(8000 * seconds, 8000), sampleRate: 8000 }).toString('base64');
    const { warnings, duration } = await jobs.run({ ...job, reference_audio_base64: hum(600) });
    assert.ok(duration > 0);
    assert.match(warnings.join(), /too long: 1[0-2]\.\d s of it are used/);
    const longer = { ...job, reference_audio_base64: hum(601) };
    await assert.rejects(jobs.run(longer), { code: 'AUDIO_TOO_LARGE', message: /600 s/ });
    await isRight();
  });
});
