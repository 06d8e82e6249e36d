/** The real `voxpod worker`, whose engine dies, and which is told to end in the middle of its work. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { tinyFolder, whyNotReal } from '../models/real.js';
import { endpointOf, eventually, settled, type Endpoint } from '../runpod/support.js';

const CLI = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const skip = whyNotReal(false);
const audio_base64 = readFileSync(
  join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav'),
).toString('base64');

interface Worker {
  child: ChildProcess;
  endpoint: Endpoint;
  exited: Promise<unknown[]>;
  log: () => string;
}

async function startWorker(context: TestContext, ...args: string[]): Promise<Worker> {
  const platform = await LocalPlatform.start({ holdMs: 2000 });
  const child = spawn(process.execPath, [CLI, 'worker', '--model', tinyFolder, ...args], {
    env: { ...process.env, ...platform.environment('crash') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  child.stdout.on('data', (data: Buffer) => (log += data.toString()));
  const exited = once(child, 'exit');
  context.after(async () => {
    child.kill('SIGKILL');
    await exited;
    await platform.close();
  });
  return { child, endpoint: endpointOf(platform), exited, log: () => log };
}

/** The process that `parent` computes in. */
function engineOf(parent: ChildProcess): number {
  const pids = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/status`, 'utf8').includes(`\nPPid:\t${parent.pid}\n`);
    } catch {
      return false;
    }
  });
  assert.equal(pids.length, 1, `processes ${pids.join(', ')}`);
  return Number(pids[0]);
}

const input = { audio_base64, model: 'tiny.en' };

test(
  'an engine that dies in a transcription fails that job; the next one works',
  { skip },
  async (context) => {
    const { child, endpoint, exited, log } = await startWorker(context);
    assert.equal((await settled(endpoint, (await endpoint.run({ input })).id)).status, 'COMPLETED');
    const before = engineOf(child);
    const { id } = await endpoint.run({ input });
    await eventually('it runs', () => log().includes(`"${id}","message":"Started."`), 20_000);
    await delay(50);
    process.kill(before, 'SIGSEGV');
    const failed = await settled(endpoint, id);
    assert.equal(failed.status, 'FAILED');
    const report = JSON.parse(failed.error ?? '{}') as { code: string; error_message: string };
    assert.equal(report.code, 'ENGINE_CRASHED');
    assert.match(report.error_message, /signal SIGSEGV/);
    const next = await settled(endpoint, (await endpoint.run({ input })).id);
    assert.match((next.output as { transcription: string }).transcription, /sun is shining/);
    assert.notEqual(engineOf(child), before);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  },
);

test(
  'eight running jobs are finished after SIGTERM, which the whole group gets',
  { skip },
  async (context) => {
    const { child, endpoint, exited, log } = await startWorker(context, '--concurrency', '8');
    const jobs = await Promise.all(Array.from({ length: 8 }, () => endpoint.run({ input })));
    const started = (): number => log().split('"message":"Started."').length - 1;
    await eventually('all run', () => started() === 8, 30_000);
    assert.ok(!log().includes('Finished in'), 'none has ended yet');
    process.kill(engineOf(child), 'SIGTERM');
    process.kill(engineOf(child), 'SIGINT');
    child.kill('SIGTERM');
    for (const { id } of jobs) {
      const { status, output, error } = await settled(endpoint, id);
      assert.equal(status, 'COMPLETED', error);
      assert.match((output as { transcription: string }).transcription, /sun is shining/);
    }
    assert.deepEqual(await exited, [0, null]);
  },
);

test(
  'by itself it holds what its engine can use: one that is computed, one that waits',
  { skip },
  async (context) => {
    const { child, endpoint, exited, log } = await startWorker(context);
    await eventually('it is ready', () => log().includes('is ready'), 30_000);
    const jobs = await Promise.all(Array.from({ length: 6 }, () => endpoint.run({ input })));
    await Promise.all(jobs.map(({ id }) => settled(endpoint, id)));
    let held = 0;
    let most = 0;
    for (const line of log().trim().split('\n')) {
      const { message } = JSON.parse(line) as { message: string };
      if (message === 'Started.') held += 1;
      if (message.startsWith('Finished')) held -= 1;
      most = Math.max(most, held);
    }
    assert.ok(most >= 2 && most <= 3, `${most} at once`);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  },
);

test('a model that is not there ends it with one line that says so', { skip }, async (context) => {
  const { exited, log } = await startWorker(context, '/nonexistent/model');
  assert.deepEqual(await exited, [1, null]);
  const errors = log()
    .split('\n')
    .filter((line) => line.includes('"ERROR"'));
  assert.equal(errors.length, 1, log());
  assert.match(errors[0] ?? '', /\\"model\\" failed: There is no folder \/nonexistent\/model/);
});
