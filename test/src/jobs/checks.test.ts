import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemChecks } from '../../../src/jobs/checks.js';
import { availableMemory } from '../../../src/jobs/memory.js';
import { catalogueEntry } from '../../../src/models/catalogue.js';
import { leastMemory } from '../../../src/models/least_memory.js';
import { runChecks } from '../../../src/runpod/fitness.js';

const MB = 2 ** 20;

/** A folder with these files, as a container's root. */
function rootWith(context: TestContext, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'voxpod-root-'));
  context.after(() => rmSync(root, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

async function check(env: NodeJS.ProcessEnv, models: string[] = ['base']): Promise<void> {
  const options = { models, device: 'cpu', env };
  await runChecks(systemChecks(options), new AbortController().signal);
}

test('a machine that has enough passes', async () => {
  await check({});
  await check({ RUNPOD_MIN_MEMORY_GB: '0.1', RUNPOD_MIN_DISK_PERCENT: '0.001' });
});

test('too little memory or disk is refused with what is there and what is needed', async () => {
  await assert.rejects(check({ RUNPOD_MIN_MEMORY_GB: '1000000' }), {
    code: 'UNHEALTHY',
    check: 'memory',
    message:
      /[\d.]+ GB of memory are available \(.*\), 1073\.7 TB are needed \(RUNPOD_MIN_MEMORY_GB\)/,
  });
  await assert.rejects(check({ RUNPOD_MIN_DISK_PERCENT: '100.1' }), {
    code: 'UNHEALTHY',
    check: 'disk',
    message: /free, 100\.1% \(RUNPOD_MIN_DISK_PERCENT\) are needed/,
  });
  const models = new Array<string>(10_000).fill('large-v1');
  await assert.rejects(check({}, models), { check: 'memory', message: /are needed for large-v1/ });
  await assert.rejects(check({ RUNPOD_MIN_MEMORY_GB: 'lots' }), /RUNPOD_MIN_MEMORY_GB.*"lots"/);
});

test('memory is needed for all that serves the models, and for nothing else', async (context) => {
  const base = catalogueEntry('base')?.bytes ?? 0;
  const [tiny, f5, vocos, bigvgan] = [
    ...['tiny', 'f5-tts', 'vocos-mel-24khz', 'bigvgan-v2-24khz'],
  ].map((name) => catalogueEntry(name)?.bytes ?? NaN) as [number, number, number, number];
  const folder = rootWith(context, {
    'f5/F5TTS_v1_Base/model_1000.safetensors': 'x'.repeat(100),
    'f5/F5TTS_v1_Base/model_2000.safetensors': 'x'.repeat(400),
    'f5/F5TTS_v1_Base/vocab.txt': ' \na\n',
    'f5/F5TTS_v1_Base/samples/1.wav': 'x'.repeat(9000),
    'trained/F5TTS_Base_mine/model_1000.pt': 'x'.repeat(800),
    'trained/F5TTS_Base_mine/vocab.txt': ' \na\n',
    'trained/vocoder/model.safetensors': 'x'.repeat(60),
    'whisper/config.json': '{}',
    'whisper/tokenizer.json': '{}',
    'whisper/model.safetensors': 'x'.repeat(200),
    'whisper/pytorch_model.bin': 'x'.repeat(200),
  });
  const rows: [string[], number][] = [
    [['base'], base / 2],
    [['base', 'tiny'], (base + tiny) / 2],
    // A worker that only speaks hears references with a Whisper of its own.
    [['f5-tts'], (f5 + vocos + base) / 2],
    [['SWivid/F5-TTS'], (f5 + vocos + base) / 2],
    [['f5-tts-base-bigvgan'], (f5 + bigvgan + base) / 2],
    [['f5-tts', 'tiny'], (f5 + vocos + tiny) / 2],
    [[join(folder, 'f5')], (400 + vocos + base) / 2],
    [[join(folder, 'f5', 'F5TTS_v1_Base'), 'tiny'], (400 + vocos + tiny) / 2],
    [[join(folder, 'trained'), 'tiny'], 800 / 8 + (60 + tiny) / 2],
    [[join(folder, 'whisper')], (2 + 2 + 200) / 2],
    [[join(folder, 'none')], 0],
    [['somebody/whatever'], 0],
  ];
  for (const [models, bytes] of rows) {
    assert.equal(await leastMemory(models, 'base'), bytes, models.join());
  }
});

test('RUNPOD_SKIP_AUTO_SYSTEM_CHECKS skips them', async () => {
  await check({ RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: 'true', RUNPOD_MIN_MEMORY_GB: '1000000' });
});

test('memory is what the machine has, or what the container may take', async (context) => {
  const meminfo = `MemTotal: 9999999 kB\nMemAvailable:    ${1000 * 1024} kB\n`;
  const bare = rootWith(context, { 'proc/meminfo': meminfo });
  assert.deepEqual(await availableMemory(bare), { bytes: 1000 * MB, limit: 'of the machine' });

  const v2 = rootWith(context, {
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '0::/pod/worker\n',
    'sys/fs/cgroup/pod/memory.max': `${600 * MB}\n`,
    'sys/fs/cgroup/pod/memory.current': `${500 * MB}\n`,
    'sys/fs/cgroup/pod/memory.stat': `anon 1\ninactive_file ${100 * MB}\nactive_file 7\n`,
    'sys/fs/cgroup/pod/worker/memory.max': 'max\n',
    'sys/fs/cgroup/pod/worker/memory.current': `${500 * MB}\n`,
  });
  assert.equal((await availableMemory(v2)).bytes, 200 * MB, 'the limit of the folder above');

  const v1 = rootWith(context, {
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '5:cpu,memory:/docker/abc\n0::/\n',
    // From inside the container its own folder is the root.
    'sys/fs/cgroup/memory/memory.limit_in_bytes': `${300 * MB}\n`,
    'sys/fs/cgroup/memory/memory.usage_in_bytes': `${310 * MB}\n`,
    'sys/fs/cgroup/memory/memory.stat': `inactive_file 1\ntotal_inactive_file ${60 * MB}\n`,
  });
  assert.deepEqual(await availableMemory(v1), {
    bytes: 50 * MB,
    limit: "by the container's limit",
  });

  const unlimited = rootWith(context, {
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '5:memory:/\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    'sys/fs/cgroup/memory/memory.usage_in_bytes': '1\n',
  });
  assert.equal((await availableMemory(unlimited)).bytes, 1000 * MB);
  assert.ok((await availableMemory()).bytes > 0);
});
