import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EnergyDetector } from '../../../lib/index.js';
import { loadDetector, SharedDetector } from '../../../src/models/detector.js';
import { ModelStore } from '../../../src/models/store.js';
import { sileroWeights } from '../../lib/vad/sounds.js';
import { temporaryFolder } from '../storage/temporary.js';
import { placeSilero } from './real.js';

const silero = sileroWeights();

test('without the weights speech is found by the detector that needs none', async (t) => {
  const cacheDirectory = await temporaryFolder(t);
  const store = new ModelStore({ cacheDirectory, offline: true });
  const lines: string[] = [];
  const { detector, dispose } = await loadDetector(store, (line) => lines.push(line));
  assert.equal(detector.name, 'energy');
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /^silero-vad cannot be had.*nothing is fetched offline[^\n]*$/);
  await dispose();

  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  await assert.rejects(
    loadDetector(store, (line) => lines.push(line), { signal }),
    reason,
  );
  assert.equal(lines.length, 1);
});

test('its files are held while it is loaded', { skip: silero.skip }, async (t) => {
  const store = new ModelStore({ cacheDirectory: await temporaryFolder(t), offline: true });
  placeSilero(silero.folder, store.cache.tiers[0]?.path ?? '');
  const loaded = await loadDetector(store, (line) => assert.fail(line));
  assert.equal(loaded.detector.name, 'silero');
  assert.equal((await store.cache.remove('voxpod-mirror/silero-vad', {}))[0]?.outcome, 'leased');
  await loaded.dispose();
  assert.equal((await store.cache.remove('voxpod-mirror/silero-vad', {}))[0]?.outcome, 'done');
});

test('a shared one is loaded once, when it is asked for, whoever leaves', async () => {
  let loads = 0;
  let disposals = 0;
  let loaded = (): void => undefined;
  const detector = new EnergyDetector();
  const shared = new SharedDetector(async () => {
    loads += 1;
    await new Promise<void>((resolve) => (loaded = resolve));
    return {
      ...{ detector, substitute: false },
      dispose: () => Promise.resolve(void (disposals += 1)),
    };
  });
  await new SharedDetector(() => assert.fail('nobody asked')).dispose();
  const leaver = new AbortController();
  const left = shared.get(leaver.signal);
  const stayed = shared.get();
  leaver.abort(new Error('cancelled'));
  await assert.rejects(left, /cancelled/);
  loaded();
  assert.equal(await stayed, detector);
  assert.equal(await shared.get(), detector);
  await shared.dispose();
  assert.deepEqual([loads, disposals], [1, 1]);
});

test('a substitute serves for a while, then what it stands for is asked for again', async () => {
  let loads = 0;
  const load = () =>
    Promise.resolve({
      ...{ detector: new EnergyDetector(), substitute: (loads += 1) < 2 },
      dispose: () => Promise.resolve(),
    });
  const patient = new SharedDetector(load, 60_000);
  assert.equal(await patient.get(), await patient.get());
  assert.equal(loads, 1);
  loads = 0;
  const hasty = new SharedDetector(load, 0);
  const first = await hasty.get();
  const second = await hasty.get();
  assert.notEqual(second, first);
  assert.equal(await hasty.get(), second);
  assert.equal(loads, 2);
});
