/** Speech through the worker's own process, as RunPod starts it, with a small random model. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import type { SpeechOutput } from '../../../src/jobs/speech_schema.js';
import type { TranscriptionOutput } from '../../../src/jobs/transcription.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { writeTinyModel } from '../../lib/f5/tiny_model.js';
import { tinyFolder, whyNotReal } from '../models/real.js';
import { endpointOf, settled, type JobStatus } from '../runpod/support.js';

const cli = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const skip = whyNotReal(false);
const clip = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const reference_audio_base64 = readFileSync(clip).toString('base64');
const reference_text =
  'Yesterday it was raining all day long. Today the sun is shining and the children are playing in the garden.';

describe('a worker that speaks', { skip }, () => {
  let folder: string;
  let speech: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-worker-'));
    speech = join(folder, 'tiny-voice');
    await writeTinyModel(speech);
    mkdirSync(join(folder, 'voices'));
    copyFileSync(clip, join(folder, 'voices', 'anna.wav'));
    writeFileSync(join(folder, 'voices', 'anna.txt'), reference_text);
  });

  after(() => rm(folder, { recursive: true }));

  async function withWorker(
    models: string[],
    run: (job: (input: object) => Promise<JobStatus>) => Promise<void>,
  ): Promise<string> {
    const platform = await LocalPlatform.start();
    const endpoint = endpointOf(platform);
    const env = {
      ...{ ...process.env, ...platform.environment('speaker'), VOXPOD_OFFLINE: '1' },
      VOXPOD_VOICES: join(folder, 'voices'),
    };
    const child = spawn(process.execPath, [cli, 'worker', '--model', ...models], { env });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    }
    const exited = once(child, 'exit');
    try {
      await run(async (input) => settled(endpoint, (await endpoint.run({ input })).id));
    } finally {
      child.kill('SIGTERM');
      await exited;
      await platform.close();
    }
    assert.equal(child.exitCode, 0, log);
    return log;
  }

  it('serves both kinds of job, side by side, the same sound for one seed', async () => {
    const input = { text: 'The weather is fine.', voice: 'anna', seed: 7, steps: 4 };
    const log = await withWorker([tinyFolder, speech], async (job) => {
      const results = await Promise.all([
        ...Array.from({ length: 4 }, () => job(input)),
        job({ ...input, text: 'Another text. '.repeat(20) }),
        job({ audio_base64: reference_audio_base64 }),
      ]);
      for (const { status, error } of results) assert.equal(status, 'COMPLETED', error);
      const [first, ...others] = results.slice(0, 4).map(({ output }) => output as SpeechOutput);
      assert.equal(first?.model, 'tiny-voice');
      for (const other of others) assert.deepEqual(other, first);
      const heard = results[5]?.output as TranscriptionOutput;
      assert.match(heard.transcription, /sun is shining/i);
      const streamed = await job({ ...input, stream: true });
      assert.equal(streamed.status, 'COMPLETED', streamed.error);
    });
    assert.match(log, /Spoke [\d.]+ s of sound/);
  });

  it('hears a reference without text, though it was started to speak alone', async () => {
    await withWorker([speech], async (job) => {
      const input = { text: 'Hello there.', reference_audio_base64, steps: 2 };
      // Its ears would be "base", which cannot be fetched here.
      const { status, error } = await job(input);
      assert.equal(status, 'FAILED');
      assert.match(error ?? '', /"MODEL_NOT_FOUND"/);
      const told = await job({ ...input, reference_text });
      assert.equal(told.status, 'COMPLETED', told.error);
    });
  });
});
