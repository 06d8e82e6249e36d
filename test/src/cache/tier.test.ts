import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  isMount,
  tiersFromEnvironment,
  watermarksFromEnvironment,
} from '../../../src/cache/tier.js';
import { parseBytes } from '../../../src/storage/disk.js';
import { temporaryFolder } from '../storage/temporary.js';

const WORKER = { RUNPOD_POD_ID: 'pod' };

function paths(env: NodeJS.ProcessEnv): [string, string][] {
  return tiersFromEnvironment(env).map(({ name, path }) => [name, path]);
}

test('a worker has volume, build and emergency', () => {
  const expected = [
    ['volume', '/runpod-volume/models'],
    ['build', '/tmp/models'],
    ['emergency', '/tmp/cache'],
  ];
  assert.deepEqual(paths(WORKER), expected);
  assert.deepEqual(paths({ RUNPOD_ENDPOINT_ID: 'endpoint' }), expected);
  const [volume, build] = tiersFromEnvironment(WORKER);
  assert.deepEqual([volume?.persistent, volume?.mount], [true, '/runpod-volume']);
  assert.deepEqual([build?.persistent, build?.checkOwner], [false, false]);
});

test("elsewhere the user's cache comes first, where no volume is mounted", () => {
  const names = paths({ XDG_CACHE_HOME: '/home/u/.cache' });
  const rest: [string, string][] = [
    ['user', '/home/u/.cache/voxpod/models'],
    ['build', '/tmp/models'],
    ['emergency', '/tmp/cache'],
  ];
  const volume: [string, string] = ['volume', '/runpod-volume/models'];
  assert.deepEqual(names, isMount('/runpod-volume') ? [volume, ...rest] : rest);
  assert.equal(paths({})[0]?.[1], join(homedir(), '.cache/voxpod/models'));
  // Where any user may make folders, only our own are believed.
  assert.equal(tiersFromEnvironment({})[1]?.checkOwner, true);
  // A volume that is given counts as there.
  assert.deepEqual(paths({ VOXPOD_VOLUME_CACHE: '/mnt/v' }).slice(0, 2), [
    ['volume', '/mnt/v'],
    ['user', join(homedir(), '.cache/voxpod/models')],
  ]);
});

test('VOXPOD_CACHE is the only tier', () => {
  const env = { ...WORKER, VOXPOD_CACHE: '/c', VOXPOD_CACHE_BYTES: '1GB' };
  assert.deepEqual(tiersFromEnvironment(env), [
    { name: 'user', path: '/c/models', persistent: true, limit: 1e9 },
  ]);
});

test('paths and limits are set, and tiers switched off, by variables', () => {
  const env = {
    ...WORKER,
    ...{ VOXPOD_VOLUME_CACHE: '', VOXPOD_BUILD_CACHE: '/b/../c', VOXPOD_BUILD_CACHE_BYTES: '20GB' },
    ...{ VOXPOD_EMERGENCY_CACHE: '/c' },
  };
  // One path twice is one tier.
  assert.deepEqual(tiersFromEnvironment(env), [
    { name: 'build', path: '/c', persistent: false, limit: 20e9 },
  ]);
  const off = { VOXPOD_VOLUME_CACHE: '', VOXPOD_BUILD_CACHE: '', VOXPOD_EMERGENCY_CACHE: '' };
  assert.deepEqual(paths({ ...WORKER, ...off, XDG_CACHE_HOME: '/x' }), [
    ['user', '/x/voxpod/models'],
  ]);
});

test('bad values are named', () => {
  const bad: [string, string][] = [
    ['VOXPOD_VOLUME_CACHE', 'models'],
    ['VOXPOD_BUILD_CACHE', '/a\0b'],
    ['VOXPOD_VOLUME_CACHE_BYTES', 'much'],
    ['VOXPOD_EMERGENCY_CACHE_BYTES', '-1'],
    ['VOXPOD_BUILD_CACHE_BYTES', '20XB'],
  ];
  for (const [name, value] of bad) {
    assert.throws(() => tiersFromEnvironment({ ...WORKER, [name]: value }), {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`for ${name} but received`),
    });
  }
  const marks: NodeJS.ProcessEnv[] = [
    { VOXPOD_CACHE_HIGH_WATER: '1.1' },
    { VOXPOD_CACHE_LOW_WATER: 'low' },
    { VOXPOD_CACHE_LOW_WATER: '0' },
    { VOXPOD_CACHE_HIGH_WATER: '0.5', VOXPOD_CACHE_LOW_WATER: '0.6' },
  ];
  for (const env of marks) {
    assert.throws(() => watermarksFromEnvironment(env), { code: 'INVALID_ARGUMENT' });
  }
});

test('watermarks', () => {
  assert.deepEqual(watermarksFromEnvironment({}), { high: 0.9, low: 0.75 });
  assert.deepEqual(watermarksFromEnvironment({ VOXPOD_CACHE_HIGH_WATER: '0.5' }), {
    ...{ high: 0.5, low: 0.5 },
  });
});

test('sizes', () => {
  const sizes = {
    '20GB': 20e9,
    '500 mb': 5e8,
    '1.5TB': 1.5e12,
    '2GiB': 2 ** 31,
    '123': 123,
    '7B': 7,
  };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseBytes('x', text), bytes);
});

test('a folder is no mount', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'in'));
  assert.equal(isMount(join(folder, 'in')), false);
  assert.equal(isMount(join(folder, 'absent')), false);
  assert.equal(isMount('/proc'), true);
});
