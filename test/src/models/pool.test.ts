import assert from 'node:assert/strict';
import { cp, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import { writeTinyModel } from '../../lib/f5/tiny_model.js';
import { LocalHub } from '../storage/local_hub.js';
import { temporaryFolder } from '../storage/temporary.js';
import { baseFolder, tinyFolder, whyNotReal } from './real.js';

const skip = whyNotReal(false);
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function newPool(t: TestContext, maxModels = 1): { pool: ModelPool; loads: string[] } {
  const loads: string[] = [];
  const log = {
    info: (line: string) => {
      if (line.startsWith('Loaded ')) loads.push(line);
    },
    warn: () => undefined,
  };
  const pool = new ModelPool({ store: new ModelStore({ offline: true }), maxModels, log });
  t.after(() => pool.dispose());
  return { pool, loads };
}

test('however many ask, a model is loaded once, with progress', { skip }, async (t) => {
  const { pool, loads } = newPool(t);
  const phases = new Set<string>();
  const leases = await Promise.all(
    Array.from({ length: 5 }, () =>
      pool.acquireWhisper(tinyFolder, { onProgress: ({ phase }) => phases.add(phase) }),
    ),
  );
  assert.equal(new Set(leases.map(({ whisper }) => whisper)).size, 1);
  assert.equal(loads.length, 1);
  assert.deepEqual([...phases], ['load']);
  for (const lease of leases) lease.release();
  const again = await pool.acquireWhisper(tinyFolder);
  assert.equal(again.whisper, leases[0]?.whisper);
  again.release();
});

test('the model idle longest makes room', { skip }, async (t) => {
  const { pool, loads } = newPool(t, 2);
  const third = join(await temporaryFolder(t), 'third');
  await cp(tinyFolder, third, { recursive: true });
  const tiny = await pool.acquireWhisper(tinyFolder);
  const base = await pool.acquireWhisper(baseFolder);
  tiny.release();
  base.release();
  (await pool.acquireWhisper(tinyFolder)).release();
  // base is the older one now.
  (await pool.acquireWhisper(third)).release();
  assert.equal(loads.length, 3);
  (await pool.acquireWhisper(tinyFolder)).release();
  assert.equal(loads.length, 3);
  (await pool.acquireWhisper(baseFolder)).release();
  assert.equal(loads.length, 4);
  await assert.rejects(
    base.whisper.detectLanguage({ samples: new Float32Array(16000), sampleRate: 16000 }),
    {
      code: 'DISPOSED',
    },
  );
});

test(
  'a leased model stays; who needs its room waits, in order, and may leave',
  { skip },
  async (t) => {
    const { pool } = newPool(t);
    const tiny = await pool.acquireWhisper(tinyFolder);
    const order: string[] = [];
    const base = pool.acquireWhisper(baseFolder).then((lease) => {
      order.push('base');
      return lease;
    });
    // Folders are looked up before a request takes its place in the row.
    await wait(100);
    // Behind the waiting one, although its model is loaded.
    const tinyAgain = pool.acquireWhisper(tinyFolder).then((lease) => {
      order.push('tiny');
      return lease;
    });
    const leaver = new AbortController();
    const left = pool.acquireWhisper(baseFolder, { signal: leaver.signal });
    await wait(50);
    leaver.abort(new Error('left'));
    await assert.rejects(left, /left/);
    assert.deepEqual(order, []);
    tiny.release();
    tiny.release();
    (await base).release();
    (await tinyAgain).release();
    assert.deepEqual(order, ['base', 'tiny']);
  },
);

test('a failed load is reported and not kept', { skip }, async (t) => {
  const { pool } = newPool(t);
  const folder = join(await temporaryFolder(t), 'broken');
  await cp(tinyFolder, folder, { recursive: true });
  await writeFile(join(folder, 'model.safetensors'), 'no weights');
  await assert.rejects(pool.acquireWhisper(folder), { code: 'CHECKPOINT_CORRUPT' });
  await cp(tinyFolder, folder, { recursive: true, force: true });
  (await pool.acquireWhisper(folder)).release();
});

test('a load that nobody waits for any more is given up', { skip }, async (t) => {
  const { pool } = newPool(t);
  const controller = new AbortController();
  const asked = pool.acquireWhisper(baseFolder, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error('left')), 5);
  await assert.rejects(asked, /left/);
  (await pool.acquireWhisper(tinyFolder)).release();
});

test('disposing ends what runs and refuses what comes', { skip }, async (t) => {
  const { pool } = newPool(t);
  const lease = await pool.acquireWhisper(tinyFolder);
  const waiting = pool.acquireWhisper(baseFolder);
  waiting.catch(() => undefined);
  await wait(20);
  await Promise.all([pool.dispose(), pool.dispose()]);
  await assert.rejects(waiting, { code: 'DISPOSED' });
  await assert.rejects(pool.acquireWhisper(tinyFolder), { code: 'DISPOSED' });
  await assert.rejects(
    lease.whisper.transcribe({ samples: new Float32Array(16000), sampleRate: 16000 }),
    {
      code: 'DISPOSED',
    },
  );
  lease.release();
});

test('models of all families share the room', { skip }, async (t) => {
  const { pool, loads } = newPool(t);
  const folder = join(await temporaryFolder(t), 'speech');
  await writeTinyModel(folder);
  const phases = new Set<string>();
  const onProgress = ({ phase }: { phase: string }): void => void phases.add(phase);
  const [one, two] = await Promise.all([
    pool.acquireSpeech(folder, { onProgress }),
    pool.acquireSpeech(folder),
  ]);
  assert.equal(one.speech, two.speech);
  assert.deepEqual([...phases], ['load']);
  const waiting = pool.acquireWhisper(tinyFolder);
  one.release();
  two.release();
  (await waiting).release();
  assert.equal(loads.length, 2);
  await assert.rejects(one.speech.mel(new Float32Array(24_000)), { code: 'DISPOSED' });
  // With room for both, both stay.
  pool.maxModels = 2;
  (await pool.acquireSpeech(folder)).release();
  (await pool.acquireWhisper(tinyFolder)).release();
  assert.equal(loads.length, 3);
  await assert.rejects(pool.acquireSpeech('base'), { code: 'MODEL_UNSUPPORTED' });
  await assert.rejects(pool.acquireWhisper('f5-tts'), { code: 'MODEL_UNSUPPORTED' });
  await assert.rejects(pool.acquireSpeech(tinyFolder), { code: 'MODEL_UNSUPPORTED' });
});

test('a model that cannot be had leaves the pool as it was', async (t) => {
  const { pool } = newPool(t);
  await assert.rejects(pool.acquireWhisper('bas'), { code: 'MODEL_UNKNOWN' });
  await assert.rejects(pool.acquireWhisper('/no/such/folder'), { code: 'MODEL_NOT_FOUND' });
});

test(
  'a loaded model is leased; one with damaged files is fetched again, once',
  { skip },
  async (t) => {
    const hub = new LocalHub();
    const endpoint = await hub.listen();
    t.after(() => hub.close());
    const files = new Map<string, Buffer>();
    for (const name of ['config.json', 'tokenizer.json', 'model.safetensors']) {
      files.set(name, await readFile(join(tinyFolder, name)));
    }
    hub.repositories.set('org/tiny', { commit: 'c'.repeat(40), files });
    const store = new ModelStore({
      ...{ cacheDirectory: await temporaryFolder(t), hub: { endpoint }, env: {} },
    });
    const pool = new ModelPool({ store });
    t.after(() => pool.dispose());
    const leases = async (): Promise<number | undefined> => (await store.cache.list())[0]?.leases;

    const { folder } = await store.resolve('org/tiny');
    const weights = await open(join(folder, 'model.safetensors'), 'r+');
    await weights.write(Buffer.from('damaged'), 0, 7, 2);
    await weights.close();
    const lease = await pool.acquireWhisper('org/tiny');
    assert.equal(hub.transfers().length, 6);
    assert.equal(await leases(), 1);
    lease.release();
    // Idle, and in memory still.
    assert.equal(await leases(), 1);
    assert.equal((await store.cache.remove('org/tiny'))[0]?.outcome, 'leased');
    (await pool.acquireWhisper('org/tiny')).release();
    (await pool.acquireWhisper(tinyFolder)).release();
    assert.equal(await leases(), 0);
    (await pool.acquireWhisper('org/tiny')).release();
    assert.equal(await leases(), 1);
    await pool.dispose();
    assert.equal(await leases(), 0);
  },
);
