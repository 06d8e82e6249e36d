/** A worker as RunPod runs it: a process of its own. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import type { LocalPlatform } from '../../../src/server/platform.js';
import { endpointOf, eventually, recordingPlatform, settled, type JobStatus } from './support.js';

const CHILD = fileURLToPath(new URL('./child_worker.js', import.meta.url));

function startChild(
  platform: LocalPlatform,
  args: string[] = [CHILD],
): { child: ChildProcess; output: () => string; exited: Promise<number | null> } {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...platform.environment('child') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  child.stderr.on('data', (data: Buffer) => (text += data.toString()));
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  return { child, output: () => text, exited };
}

test('SIGTERM amid running jobs: all of them are delivered, then exit 0', async () => {
  const { platform } = await recordingPlatform({ holdMs: 20_000 });
  const { child, output, exited } = startChild(platform);
  const endpoint = endpointOf(platform);
  const jobs = await Promise.all(
    Array.from({ length: 8 }, (_, i) => endpoint.run({ input: { sleep: 800, square: i } })),
  );
  await eventually('all run', async () => (await endpoint.health()).jobs.inProgress === 8);
  child.kill('SIGTERM');
  const late = await endpoint.run({ input: { square: 9 } });
  const started = performance.now();
  assert.equal(await exited, 0, output());
  // The long poll that was open for 20 s does not hold the process up.
  assert.ok(performance.now() - started < 5000);
  const results = await Promise.all(jobs.map(({ id }) => settled(endpoint, id)));
  assert.deepEqual(
    results.map(({ output: square }) => square),
    results.map((_, i) => i ** 2),
  );
  const waiting: JobStatus = await endpoint.status(late.id);
  assert.equal(waiting.status, 'IN_QUEUE');
  await platform.close();
});

test('an idle worker exits at once on SIGINT', async () => {
  const { platform, posted } = await recordingPlatform({ holdMs: 20_000 });
  const { child, output, exited } = startChild(platform);
  await eventually('it asks for jobs', () => posted.some(({ kind }) => kind === 'job-take'));
  const started = performance.now();
  child.kill('SIGINT');
  assert.equal(await exited, 0, output());
  assert.ok(performance.now() - started < 1500);
  await platform.close();
});

test('the platform queues the jobs of a killed worker again, and the next one runs them', async () => {
  const { platform } = await recordingPlatform({ holdMs: 500, pingIntervalMs: 1000 });
  const first = startChild(platform);
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.run({ input: { sleep: 300, square: 5 } });
  await eventually('it runs', async () => (await endpoint.status(id)).status === 'IN_PROGRESS');
  first.child.kill('SIGKILL');
  await first.exited;
  const second = startChild(platform);
  assert.equal((await settled(endpoint, id)).output, 25);
  second.child.kill('SIGTERM');
  assert.equal(await second.exited, 0, second.output());
  await platform.close();
});

test('heartbeats stay on time, with the job, while the main thread is blocked', async () => {
  const pings: { at: number; jobs: string | null; version: string | null }[] = [];
  const { platform } = await recordingPlatform({ pingIntervalMs: 1000 }, (call) => {
    if (call.kind === 'ping') {
      const query = new URL(call.url).searchParams;
      pings.push({
        at: performance.now(),
        jobs: query.get('job_id'),
        version: query.get('runpod_version'),
      });
    }
    return undefined;
  });
  const { child, output, exited } = startChild(platform);
  await eventually('the first ping', () => pings.length === 1);
  assert.equal(pings[0]?.jobs, null);
  assert.match(pings[0]?.version ?? '', /^\d+\.\d+/);
  const endpoint = endpointOf(platform);
  const { id } = await endpoint.run({ input: { block: 30_000 } });
  await settled(endpoint, id);
  child.kill('SIGTERM');
  assert.equal(await exited, 0, output());
  const gaps = pings.slice(1).map(({ at }, i) => at - (pings[i]?.at ?? 0));
  assert.ok(gaps.length >= 28, `${gaps.length + 1} pings`);
  assert.ok(
    gaps.every((gap) => gap > 800 && gap < 1200),
    `gaps of ${gaps.map(Math.round).join(', ')} ms`,
  );
  assert.ok(pings.filter(({ jobs }) => jobs === id).length >= 28);
  await platform.close();
});

test('the CommonJS bundle works, heartbeat and all', async (context) => {
  const bundle = join(packageRoot(), 'dist', 'cjs', 'runpod.cjs');
  if (!existsSync(bundle)) return context.skip('dist/cjs is not built');
  const { platform, posted } = await recordingPlatform();
  const script = `require(${JSON.stringify(bundle)}).runWorker({ handler: (job) => job.input + 1 })`;
  const { child, output, exited } = startChild(platform, ['-e', script]);
  const result: JobStatus = await endpointOf(platform).runSync({ input: 1 });
  assert.equal(result.output, 2);
  await eventually('a ping', () => posted.some(({ kind }) => kind === 'ping'));
  child.kill('SIGTERM');
  assert.equal(await exited, 0, output());
  await platform.close();
  return undefined;
});
