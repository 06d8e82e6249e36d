/** Models that cannot be loaded. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { VoxpodError } from '../../../lib/errors.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { byteLayout, byteTokenizer, goldenModel } from './support.js';

const goldens = folderFrom('VOXPOD_GOLDENS');

describe('a broken folder', { skip: skipUnless(['VOXPOD_GOLDENS', goldens]) }, () => {
  let folder = '';
  before(async () => {
    folder = await goldenModel(join(goldens ?? '', 'whisper', 'tiny80'));
  });
  after(() => rm(folder, { recursive: true }));

  const breaks: [string, (folder: string) => Promise<void>, string][] = [
    ['no config', (f) => rm(join(f, 'config.json')), 'MODEL_INVALID|MODEL_NOT_FOUND'],
    ['no weights', (f) => rm(join(f, 'model.safetensors')), 'MODEL_INVALID|MODEL_NOT_FOUND'],
    ['no tokenizer', (f) => rm(join(f, 'tokenizer.json')), 'TOKENIZER_INVALID'],
    ['a torn tokenizer', (f) => truncate(join(f, 'tokenizer.json'), 999), 'TOKENIZER_INVALID'],
    ['torn weights', (f) => truncate(join(f, 'model.safetensors'), 99_999), 'CHECKPOINT_CORRUPT'],
    [
      'a torn generation_config',
      (f) => truncate(join(f, 'generation_config.json'), 99),
      'MODEL_INVALID',
    ],
    [
      "another model's tokenizer",
      (f) => {
        const layout = { ...byteLayout, NOTS: 50_363 };
        return writeFile(join(f, 'tokenizer.json'), JSON.stringify(byteTokenizer(layout)));
      },
      'TOKENIZER_INVALID',
    ],
  ];
  for (const [name, spoil, codes] of breaks) {
    it(`refuses ${name}`, async () => {
      const copy = await mkdtemp(join(tmpdir(), 'voxpod-broken-'));
      try {
        await cp(folder, copy, { recursive: true, dereference: true });
        await spoil(copy);
        await assert.rejects(
          Whisper.load(copy),
          (error: unknown) => error instanceof VoxpodError && codes.split('|').includes(error.code),
        );
      } finally {
        await rm(copy, { recursive: true });
      }
    });
  }

  it('refuses a folder that is not there', async () => {
    await assert.rejects(Whisper.load('/nonexistent/model'), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(Whisper.load(join(folder, 'config.json')), { code: 'MODEL_NOT_FOUND' });
  });
});
