/** Real speech through the worker's own process, as RunPod starts it: every clip, model and layout. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TranscriptionOutput } from '../../../src/jobs/transcription.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { englishClips } from '../../support/clips.js';
import { folderFrom } from '../../support/needs.js';
import { edits, wordErrorRate } from '../../support/word_errors.js';
import { whyNotReal } from '../models/real.js';
import { endpointOf, settled } from '../runpod/support.js';

const cli = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const models = folderFrom('VOXPOD_TEST_MODELS');
const clips = folderFrom('VOXPOD_TEST_AUDIO');
const goldens = folderFrom('VOXPOD_GOLDENS');
const skip = whyNotReal(true);

interface Golden {
  greedy: { text: string; language: string };
}

type Transcribe = (input: Record<string, unknown>) => Promise<TranscriptionOutput>;

/** Runs jobs on `voxpod worker` with these model folders; it must end well. */
async function withWorker(
  folders: string[],
  run: (transcribe: Transcribe) => Promise<void>,
): Promise<void> {
  const platform = await LocalPlatform.start();
  const endpoint = endpointOf(platform);
  const child = spawn(process.execPath, [cli, 'worker', '--model', ...folders], {
    env: { ...process.env, ...platform.environment('speech') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    await run(async (input) => {
      const { id } = await endpoint.run({ input });
      const { status, output, error } = await settled(endpoint, id);
      assert.equal(status, 'COMPLETED', error);
      return output as TranscriptionOutput;
    });
  } finally {
    child.kill('SIGTERM');
    await exited;
    await platform.close();
  }
  assert.equal(child.exitCode, 0);
}

const base64 = (path: string): string => readFileSync(path).toString('base64');

/** Letters alone, in simplified and traditional form as they come. */
const characters = (text: string): string[] => [...text.replace(/[^\p{L}\p{N}]/gu, '')];

for (const layout of ['whisper', 'faster-whisper']) {
  const folders = ['base', 'tiny.en'].map((name) => join(models ?? '', `${layout}-${name}`));
  const missing = folders.find((folder) => !existsSync(folder));
  const reason = skip || (missing !== undefined && `there is no ${missing}`);
  describe(`the worker with ${layout}-base and ${layout}-tiny.en`, { skip: reason }, () => {
    it('hears what is said', async (test) => {
      await withWorker(folders, async (transcribe) => {
        for (const model of ['base', 'tiny.en']) {
          const texts: [string, string][] = [];
          for (const { name, audio, text } of englishClips(clips ?? '')) {
            const output = await transcribe({ audio_base64: base64(audio), model });
            assert.equal(output.model, model);
            assert.equal(output.detected_language, 'en', name);
            texts.push([text, output.transcription]);
          }
          const rate = wordErrorRate(texts);
          test.diagnostic(`${layout}-${model}: word error rate ${rate.toFixed(4)}`);
          assert.ok(rate <= 0.045, `${model}: ${rate}\n${texts.join('\n')}`);
        }

        const chinese = join(clips ?? '', 'taiyi_zh.wav');
        const file = join(goldens ?? '', 'whisper', 'real', 'base.json');
        if (!existsSync(chinese) || !existsSync(file)) {
          test.diagnostic('the Chinese clip is left out: VOXPOD_GOLDENS has no figures of it');
          return;
        }
        const golden = (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Golden>)[
          'taiyi_zh.wav'
        ]?.greedy;
        assert.ok(golden !== undefined);
        const output = await transcribe({ audio_base64: base64(chinese), model: 'base' });
        assert.equal(output.detected_language, golden.language);
        const wanted = characters(golden.text);
        const wrong = edits(wanted, characters(output.transcription));
        test.diagnostic(`${layout}-base: ${wrong} of ${wanted.length} Chinese characters differ`);
        // Those are of float32; bfloat16 may write one of them in another way.
        assert.ok(wrong <= 1, `${output.transcription} instead of ${golden.text}`);
      });
    });
  });
}
