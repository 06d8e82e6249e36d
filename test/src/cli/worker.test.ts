import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findLibtorch } from '../../../lib/libtorch.js';
import { packageRoot } from '../../../lib/package_root.js';
import { ModelStore } from '../../../src/models/store.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { sileroWeights } from '../../lib/vad/sounds.js';
import { baseFolder, placeSilero, tinyFolder, whyNotReal } from '../models/real.js';
import { endpointOf, settled } from '../runpod/support.js';
import { temporaryFolder } from '../storage/temporary.js';

const CLI = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const skip = whyNotReal(false);
const audio_base64 = readFileSync(
  join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav'),
).toString('base64');

function withoutRunpod(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('RUNPOD_')),
  );
}

interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

function voxpod(...args: string[]): Outcome {
  return voxpodWith({}, ...args);
}

function voxpodWith(env: NodeJS.ProcessEnv, ...args: string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'worker', ...args], {
    env: { ...withoutRunpod(), ...env },
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

test('outside of RunPod it says so in one line', () => {
  const { code, out, err } = voxpod();
  assert.equal(code, 2);
  assert.equal(out, '');
  assert.match(err, /^voxpod: RUNPOD_WEBHOOK_GET_JOB is not set.*--test-input.*\n$/);
});

test('wrong options are refused', () => {
  for (const args of [
    ['--concurrency', '0'],
    ['--threads', 'x'],
    ['--dtype', 'int3'],
    ['--what'],
  ]) {
    assert.equal(voxpod(...args).code, 2, args.join(' '));
  }
  const { code, err } = voxpod('--test-input', '/nonexistent.json');
  assert.equal(code, 2);
  assert.match(err, /--test-input: \/nonexistent.json could not be read/);
});

test('--test-input runs one job and prints its output, or fails', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'voxpod-test-'));
  try {
    const file = join(folder, 'job.json');
    writeFileSync(file, JSON.stringify({ input: { audio_base64 } }));
    const good = voxpod('--model', tinyFolder, '--test-input', file);
    assert.equal(good.code, 0, good.err);
    const output = JSON.parse(good.out) as { transcription: string; model: string };
    assert.match(output.transcription, /sun is shining/);
    assert.equal(output.model, 'tiny.en');
    writeFileSync(file, JSON.stringify({ input: {} }));
    const bad = voxpod('--model', tinyFolder, '--test-input', file);
    assert.equal(bad.code, 1);
    assert.match(bad.err, /JOB_INVALID/);
    writeFileSync(file, '{}');
    assert.match(voxpod('--test-input', file).err, /no input.*JOB_INVALID/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a job has its speech found, with Silero or without', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'job.json');
  const speech = { enable_vad: true, batch_size: 4, vad_parameters: { threshold: 0.4 } };
  writeFileSync(file, JSON.stringify({ input: { audio_base64, beam_size: 1, ...speech } }));
  const env = {
    ...{ VOXPOD_OFFLINE: '1', VOXPOD_CACHE: join(folder, 'cache') },
    LIBTORCH: findLibtorch().libtorch?.directory,
  };
  const job = ['--model', tinyFolder, '--dtype', 'int8', '--test-input', file];
  const plain = voxpodWith(env, ...job);
  assert.equal(plain.code, 0, plain.err);
  assert.match(
    (JSON.parse(plain.out) as { transcription: string }).transcription,
    /sun is shining/,
  );
  assert.equal(plain.err.match(/silero-vad cannot be had/g)?.length, 1, plain.err);
  assert.match(plain.err, /speech found by energy/);

  const silero = sileroWeights();
  if (silero.skip !== false) return t.diagnostic(silero.skip);
  placeSilero(silero.folder, new ModelStore({ env }).cache.tiers[0]?.path ?? '');
  const better = voxpodWith(env, ...job);
  assert.match(
    (JSON.parse(better.out) as { transcription: string }).transcription,
    /sun is shining/,
  );
  assert.equal(better.err.match(/silero-vad/g)?.length, 1, better.err);
  assert.match(better.err, /Loaded silero-vad.*speech found by silero/s);
});

test('the command takes jobs, runs them and ends cleanly on SIGTERM', { skip }, async () => {
  const platform = await LocalPlatform.start();
  const endpoint = endpointOf(platform);
  const child = spawn(process.execPath, [CLI, 'worker', '--model', baseFolder], {
    env: { ...withoutRunpod(), ...platform.environment('cli') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  child.stdout.on('data', (data: Buffer) => (log += data.toString()));
  const exited = once(child, 'exit');
  const jobs = await Promise.all([0, 1].map(() => endpoint.run({ input: { audio_base64 } })));
  for (const { id } of jobs) {
    const { status, output } = await settled(endpoint, id);
    assert.equal(status, 'COMPLETED');
    assert.match((output as { transcription: string }).transcription, /sun is shining/);
  }
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  const lines = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { requestId: string | null; message: string });
  assert.ok(
    lines.some(({ requestId, message }) => requestId === jobs[0]?.id && message === 'Started.'),
  );
  assert.ok(!log.includes(platform.environment('cli')['RUNPOD_AI_API_KEY'] ?? 'no key'));
  await platform.close();
});
