import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { inspectF5, locateF5, type LocateOptions } from '../../../lib/f5/config.js';
import { temporaryFolder } from '../../src/storage/temporary.js';

async function folderWith(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

const locate = (path: string, options: Partial<LocateOptions> = {}) =>
  locateF5(path, { version: undefined, vocabulary: undefined, vocoder: undefined, ...options });

const VOCODER = { 'vocoder/pytorch_model.bin': '', 'vocoder/config.yaml': '' };

test("the hub's folders are told apart by their names", async (t) => {
  const rows: [string, object][] = [
    ['F5TTS_v1_Base', { maskTextPadding: true, rotaryHeads: 'all', averageUpsampling: false }],
    ['F5TTS_Base', { maskTextPadding: false, rotaryHeads: 'first', averageUpsampling: false }],
    ['E2TTS_Base', { maskTextPadding: false, rotaryHeads: 'first', averageUpsampling: false }],
  ];
  for (const [name, architecture] of rows) {
    const folder = await folderWith(t, {
      ...VOCODER,
      ...{ [`${name}/model_1200000.safetensors`]: '', [`${name}/model_1250000.safetensors`]: '' },
      ...{ [`${name}/model_1300000.pt`]: '', [`${name}/vocab.txt`]: '' },
    });
    const expected = {
      checkpoint: join(folder, name, 'model_1250000.safetensors'),
      vocabulary: join(folder, name, 'vocab.txt'),
      vocoder: join(folder, 'vocoder', 'pytorch_model.bin'),
      ...{ architecture, tokenizer: 'pinyin', trainedWith: undefined },
    };
    assert.deepEqual(await locate(folder), expected);
    assert.deepEqual(
      (await locate(expected.checkpoint, { vocoder: expected.vocoder })).architecture,
      architecture,
    );
  }
});

test('a vocabulary beside the model serves it, and so does one that is given', async (t) => {
  const folder = await folderWith(t, {
    ...VOCODER,
    ...{ 'F5TTS_Base_bigvgan/model_1250000.pt': '', 'F5TTS_v1_Base/vocab.txt': '' },
  });
  const own = await inspectF5(folder);
  assert.equal(own.vocabulary, join(folder, 'F5TTS_v1_Base', 'vocab.txt'));
  assert.equal(own.trainedWith, 'bigvgan');
  const other = await folderWith(t, {
    'F5TTS_v1_Base/vocab.txt': '',
    'b/bigvgan_generator.pt': '',
  });
  const vocoder = join(other, 'b');
  const { vocabulary, vocoder: found } = await locate(folder, { vocabulary: other, vocoder });
  assert.equal(vocabulary, join(other, 'F5TTS_v1_Base', 'vocab.txt'));
  assert.equal(found, join(vocoder, 'bigvgan_generator.pt'));
});

test("the trainer's settings say what a model of any name is", async (t) => {
  const yaml = `
hydra:
  run:
    dir: ckpts/\${model.name}
model:
  name: MyVoice
  tokenizer: char
  backbone: DiT
  arch:
    dim: 768
    text_mask_padding: False
    pe_attn_head: 1  # v0
  mel_spec:
    mel_spec_type: bigvgan
`;
  const files = { ...VOCODER, 'model_last.pt': '', 'vocab.txt': '' };
  const folder = await folderWith(t, { ...files, 'config.yaml': yaml });
  const { architecture, tokenizer, trainedWith } = await locate(folder);
  assert.deepEqual(architecture, {
    ...{ maskTextPadding: false, rotaryHeads: 'first', averageUpsampling: false },
  });
  assert.deepEqual([tokenizer, trainedWith], ['char', 'bigvgan']);
  // What is given counts for more.
  assert.equal((await locate(folder, { version: 'v1' })).architecture.rotaryHeads, 'all');
  const flat = JSON.stringify({
    dim: 128,
    pe_attn_head: null,
    text_embedding_average_upsampling: true,
  });
  const other = await folderWith(t, { ...files, 'config.json': flat });
  assert.deepEqual((await locate(other)).architecture, {
    ...{ maskTextPadding: true, rotaryHeads: 'all', averageUpsampling: true },
  });
  for (const [bad, code] of [
    ['model: {arch: {pe_attn_head: 2}}', 'MODEL_UNSUPPORTED'],
    ['model: {tokenizer: bpe}', 'MODEL_UNSUPPORTED'],
    ['model: [', 'MODEL_INVALID'],
    ['{"model_type": "whisper"}', 'MODEL_UNSUPPORTED'],
  ] as const) {
    const broken = await folderWith(t, { ...files, 'config.yaml': bad });
    await assert.rejects(locate(broken), { code }, bad);
  }
});

test('tokens that are bytes need no vocabulary', async (t) => {
  const config = 'model: {tokenizer: byte, arch: {pe_attn_head: null}}';
  const folder = await folderWith(t, { ...VOCODER, 'model_1.pt': '', 'config.yaml': config });
  assert.equal((await locate(folder)).vocabulary, undefined);
});

test('what is missing is said', async (t) => {
  const checkpoint = { 'F5TTS_v1_Base/model_1.pt': '' };
  const vocabulary = { 'F5TTS_v1_Base/vocab.txt': '' };
  const rows: [Record<string, string>, string, RegExp][] = [
    [{}, 'MODEL_NOT_FOUND', /no model_N/],
    [vocabulary, 'MODEL_NOT_FOUND', /no model_N/],
    [{ ...checkpoint, ...vocabulary }, 'MODEL_NOT_FOUND', /no vocoder/],
    [{ ...checkpoint, ...VOCODER }, 'TOKENIZER_INVALID', /no vocab\.txt/],
    [{ ...checkpoint, 'F5TTS_Base/model_1.pt': '' }, 'MODEL_INVALID', /several models/],
    [{ 'mine/model_1.pt': '', ...VOCODER, 'vocab.txt': '' }, 'MODEL_UNSUPPORTED', /"v1"/],
  ];
  for (const [files, code, message] of rows) {
    await assert.rejects(locate(await folderWith(t, files)), { code, message });
  }
  await assert.rejects(locate('/no/such/folder'), { code: 'MODEL_NOT_FOUND' });
  const folder = await folderWith(t, { ...checkpoint, ...vocabulary, ...VOCODER });
  await assert.rejects(locate(folder, { vocoder: '/none' }), { code: 'MODEL_NOT_FOUND' });
  await assert.rejects(locate(folder, { vocabulary: '/none' }), { code: 'MODEL_NOT_FOUND' });
});
