/** What a model of F5-TTS consists of, out of a hub: the model, its vocoder, its vocabulary. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { locateF5 } from '../../../lib/f5/config.js';
import { holdSpeechModel, type HeldSpeechModel } from '../../../src/models/speech_model.js';
import { ModelStore } from '../../../src/models/store.js';
import { LocalHub } from '../storage/local_hub.js';
import { temporaryFolder } from '../storage/temporary.js';

const commit = 'f'.repeat(40);

async function storeOf(t: TestContext): Promise<{ store: ModelStore; hub: LocalHub }> {
  const hub = new LocalHub();
  const endpoint = await hub.listen();
  t.after(() => hub.close());
  const put = (repository: string, files: Record<string, string>): void =>
    void hub.repositories.set(repository, {
      commit,
      files: new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])),
    });
  put('SWivid/F5-TTS', {
    ...{ 'F5TTS_v1_Base/model_1250000.safetensors': 'v1', 'F5TTS_v1_Base/vocab.txt': 'v1 words' },
    'F5TTS_Base_bigvgan/model_1250000.pt': 'with BigVGAN',
  });
  put('SWivid/E2-TTS', { 'E2TTS_Base/model_1200000.safetensors': 'e2' });
  put('charactr/vocos-mel-24khz', { 'config.yaml': '', 'pytorch_model.bin': 'Vocos' });
  put('nvidia/bigvgan_v2_24khz_100band_256x', {
    ...{ 'config.json': '{}', 'bigvgan_generator.pt': 'BigVGAN', 'bigvgan_optimizer.pt': '' },
  });
  const cacheDirectory = await temporaryFolder(t);
  return { hub, store: new ModelStore({ cacheDirectory, hub: { endpoint }, env: {} }) };
}

/** The contents of the files that would be loaded. */
async function partsOf({ folder, files }: HeldSpeechModel): Promise<(string | object)[]> {
  const { vocoder, vocabulary } = files;
  const found = await locateF5(folder, { version: undefined, vocoder, vocabulary });
  const read = (path: string | undefined) => readFile(path ?? '', 'utf8');
  return [
    await read(found.checkpoint),
    await read(found.vocabulary),
    await read(found.vocoder),
    found.architecture.rotaryHeads,
  ];
}

test('a model comes with the vocoder it was trained with and the vocabulary of all', async (t) => {
  const { store, hub } = await storeOf(t);
  const rows: [string, (string | object)[], string[]][] = [
    ['f5-tts', ['v1', 'v1 words', 'Vocos', 'all'], ['vocos-mel-24khz']],
    [
      'f5-tts-base-bigvgan',
      ['with BigVGAN', 'v1 words', 'BigVGAN', 'first'],
      ['bigvgan-v2-24khz', 'f5-tts-vocabulary'],
    ],
    ['e2-tts', ['e2', 'v1 words', 'Vocos', 'first'], ['vocos-mel-24khz', 'f5-tts-vocabulary']],
  ];
  for (const [name, parts, others] of rows) {
    const held = await holdSpeechModel(store, name);
    assert.deepEqual(await partsOf(held), parts, name);
    assert.deepEqual(held.models, [name, ...others]);
    const leases = async (): Promise<number> =>
      (await store.cache.list()).reduce((sum, model) => sum + (model.leases ?? 0), 0);
    assert.ok((await leases()) > 0, 'held while it is used');
    await held.release();
    assert.equal(await leases(), 0);
  }
  // Of the first model's repository only the vocabulary, where that was there already.
  assert.ok(!hub.transfers().some((path) => path.includes('optimizer')));
});

test('the vocabulary alone is fetched where no v1 is there', async (t) => {
  const { store, hub } = await storeOf(t);
  await (await holdSpeechModel(store, 'e2-tts')).release();
  const fetched = hub.transfers();
  assert.ok(fetched.some((path) => path.includes('F5TTS_v1_Base/vocab.txt')));
  assert.ok(!fetched.some((path) => path.includes('model_1250000')));
});

test('what lies in a folder is taken before anything else', async (t) => {
  const { store, hub } = await storeOf(t);
  const folder = join(await temporaryFolder(t), 'F5TTS_v1_Base');
  await mkdir(join(folder, 'vocoder'), { recursive: true });
  await writeFile(join(folder, 'model_1.safetensors'), 'own');
  await writeFile(join(folder, 'vocab.txt'), 'own words');
  await writeFile(join(folder, 'vocoder', 'model.safetensors'), 'own Vocos');
  const own = await holdSpeechModel(store, folder);
  assert.deepEqual(await partsOf(own), ['own', 'own words', 'own Vocos', 'all']);
  assert.deepEqual(hub.transfers(), []);
  const other = await holdSpeechModel(store, folder, { vocoder: 'bigvgan-v2-24khz' });
  assert.equal((await partsOf(other))[2], 'BigVGAN');
});

test('a part that cannot be had lets go of the others', async (t) => {
  const { store, hub } = await storeOf(t);
  hub.repositories.delete('charactr/vocos-mel-24khz');
  await assert.rejects(holdSpeechModel(store, 'f5-tts'), /vocos-mel-24khz/);
  const leases = (await store.cache.list()).map((model) => model.leases ?? 0);
  assert.deepEqual(new Set(leases), new Set([0]));
});
