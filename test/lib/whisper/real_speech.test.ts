/** Real speech, where real weights are. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { leastLateness } from '../../support/lateness.js';
import { folderFrom, skipUnless } from '../../support/needs.js';

const models = folderFrom('VOXPOD_TEST_MODELS');
const clips = folderFrom('VOXPOD_TEST_AUDIO');

describe(
  'real speech',
  { skip: skipUnless(['VOXPOD_TEST_MODELS', models], ['VOXPOD_TEST_AUDIO', clips]) },
  () => {
    const folder = (name: string): string => join(models ?? '', name);
    const clip = (name: string): string => join(clips ?? '', name);

    it("leaves Node's loop free while it transcribes", async () => {
      const whisper = await Whisper.load(folder('whisper-base'));
      try {
        const late = await leastLateness(() => whisper.transcribe(clip('belinda.wav')), 50);
        assert.ok(late < 50, `a timer was ${late} ms late`);
      } finally {
        await whisper.dispose();
      }
    });

    it('leaves no weights in memory when the model is disposed', async () => {
      const resident: number[] = [];
      for (let i = 0; i < 6; i++) {
        const whisper = await Whisper.load(folder('whisper-base'), { dtype: 'float32' });
        await whisper.dispose();
        resident.push(process.memoryUsage().rss / 2 ** 20);
      }
      // Each holds 290 MB, and four more would stay; nothing here forces the garbage collector.
      const [, second = 0] = resident;
      assert.ok((resident.at(-1) ?? 0) < second + 600, `resident: ${resident.join(', ')} MB`);
    });

    it('is read from bytes as from the file', async () => {
      const whisper = await Whisper.load(folder('whisper-tiny.en'));
      try {
        const path = clip('jfk.wav');
        const fromBytes = await whisper.transcribe(await readFile(path));
        assert.deepEqual(fromBytes, await whisper.transcribe(path));
        assert.match(fromBytes.text, /ask not what your country can do for you/);
      } finally {
        await whisper.dispose();
      }
    });

    it('of another language is refused by an English-only model', async () => {
      const whisper = await Whisper.load(folder('whisper-tiny.en'));
      try {
        assert.equal(whisper.info.multilingual, false);
        assert.deepEqual(whisper.info.languages, ['en']);
        const path = clip('jfk.wav');
        await assert.rejects(whisper.transcribe(path, { language: 'de' }), {
          code: 'LANGUAGE_UNKNOWN',
          message: /german.*English only/,
        });
        await assert.rejects(whisper.transcribe(path, { task: 'translate' }), {
          code: 'INVALID_ARGUMENT',
          message: /cannot translate/,
        });
        assert.deepEqual(await whisper.detectLanguage(path), {
          ...{ language: 'en', probability: 1, probabilities: { en: 1 } },
        });
        assert.ok((await whisper.transcribe(path, { language: 'English' })).text.length > 50);
      } finally {
        await whisper.dispose();
      }
    });

    it('is translated', async () => {
      const whisper = await Whisper.load(folder('whisper-base'));
      try {
        const { text, language } = await whisper.transcribe(clip('taiyi_zh.wav'), {
          task: 'translate',
        });
        assert.equal(language, 'zh');
        assert.match(text, /^[\x20-\x7e]+$/);
      } finally {
        await whisper.dispose();
      }
    });
  },
);
