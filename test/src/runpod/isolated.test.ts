/** Handlers in real processes that crash for real. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import { createLogger } from '../../../src/log.js';
import {
  isolatedHandler,
  runWorker,
  type Isolated,
  type IsolatedOptions,
} from '../../../src/runpod/index.js';
import { generatorOf } from '../../../src/runpod/job.js';
import type { EngineInput, EngineSettings } from './isolated_engine.js';
import {
  FAST_RETRY,
  endpointOf,
  eventually,
  quiet,
  recordingPlatform,
  settled,
  startWorker,
  type JobStatus,
} from './support.js';

const module = new URL('./isolated_engine.js', import.meta.url);
const FAST_RESTART = { firstMs: 20, maxMs: 50, attempts: 3 };

function isolate(
  context: TestContext,
  options: Partial<IsolatedOptions> & { settings?: EngineSettings } = {},
): Isolated {
  const isolated = isolatedHandler({ module, log: quiet, restart: FAST_RESTART, ...options });
  context.after(() => isolated.stop());
  return isolated;
}

let serial = 0;

/** The handler's output for one job; of a generator the chunks. */
async function run(
  isolated: Isolated,
  input: EngineInput,
  options: {
    signal?: AbortSignal;
    onProgress?: (value: unknown) => void;
    onChunk?: () => void;
  } = {},
): Promise<unknown> {
  const { signal = new AbortController().signal, onProgress = () => undefined } = options;
  const context = { signal, progress: onProgress, log: quiet };
  const returned = await isolated.handler({ id: `job-${++serial}`, input }, context);
  const generator = generatorOf(returned);
  if (generator === undefined) return returned;
  const chunks: unknown[] = [];
  for await (const chunk of generator) {
    chunks.push(chunk);
    options.onChunk?.();
  }
  return chunks;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function temporary(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'voxpod-isolated-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('values, chunks, progress and errors cross as they would in one process', async (context) => {
  const isolated = isolate(context);
  await isolated.start();
  assert.notEqual(isolated.pid, process.pid);
  assert.deepEqual(await run(isolated, { square: 3 }), { squared: 9 });
  assert.deepEqual(await run(isolated, { chunks: 3 }), [0, 1, 2]);
  assert.deepEqual(await run(isolated, { chunks: 0 }), []);
  // As JSON has it: structured cloning would refuse the function.
  assert.deepEqual(await run(isolated, { dated: true }), { at: '1970-01-01T00:00:00.000Z' });
  const seen: unknown[] = [];
  await run(isolated, { progress: 1000, square: 1 }, { onProgress: (value) => seen.push(value) });
  assert.deepEqual(seen, [1000], 'the newest report of one turn');

  await assert.rejects(run(isolated, { fail: 'coded' }), (error: Error & { code?: string }) => {
    assert.equal(error.name, 'JobError');
    assert.equal(error.code, 'AUDIO_EMPTY');
    assert.equal(error.message, 'nothing to hear');
    assert.match(error.stack ?? '', /isolated_engine/);
    assert.match(String((error.cause as Error).stack), /TypeError: inner/);
    return true;
  });
  await assert.rejects(run(isolated, { fail: 'text' }), (error) => error === 'only text');
  for (const fail of ['function', 'ring'] as const) {
    await assert.rejects(run(isolated, { fail }), { code: 'RESULT_INVALID' });
  }
});

test('a crash of any kind fails its job, says how, and the next job runs', async (context) => {
  const isolated = isolate(context);
  const deaths: [EngineInput['die'], RegExp][] = [
    ['SIGSEGV', /ended with signal SIGSEGV\. The last lines.*\n(.*\n)*last words of the engine/],
    ['abort', /signal SIGABRT/],
    ['exit', /exit code 3/],
    ['throw', /exit code \d[^]*thrown by nobody/],
    ['disconnect', /signal SIGKILL/],
  ];
  for (const [die, message] of deaths) {
    if (die === undefined) continue;
    await assert.rejects(run(isolated, { die }), { code: 'ENGINE_CRASHED', message });
    assert.deepEqual(await run(isolated, { square: 2 }), { squared: 4 }, die);
  }
  assert.equal(isolated.broken.aborted, false);
});

test('of eight jobs, the one that crashes the process fails and seven are right', async (context) => {
  const { platform } = await recordingPlatform();
  const isolated = isolate(context);
  const worker = startWorker(platform, {
    handler: isolated.handler,
    onStart: () => isolated.start(),
    concurrency: 8,
  });
  const endpoint = endpointOf(platform);
  const inputs: EngineInput[] = [0, 1, 2, 3, 4, 5, 6, 7].map((square) =>
    square === 5 ? { sleep: 150, die: 'SIGSEGV' } : { sleep: 300, square },
  );
  const jobs = await Promise.all(inputs.map((input) => endpoint.run({ input })));
  const ended = await Promise.all(jobs.map(({ id }) => settled(endpoint, id)));
  ended.forEach((job: JobStatus, square) => {
    if (square !== 5) return assert.deepEqual(job.output, { squared: square ** 2 });
    assert.equal(job.status, 'FAILED');
    const report = JSON.parse(job.error ?? '{}') as { code: string; error_message: string };
    assert.equal(report.code, 'ENGINE_CRASHED');
    assert.match(report.error_message, /signal SIGSEGV[^]*last words of the engine/);
  });
  await worker.stop();
  await platform.close();
});

test('a stream that crashes after a chunk fails; before its first it is run again', async (context) => {
  const isolated = isolate(context);
  const chunks: unknown[] = [];
  const broken = run(isolated, { chunks: 5, dieAfter: 2 }, { onChunk: () => chunks.push(1) });
  await assert.rejects(broken, { code: 'ENGINE_CRASHED', message: /SIGSEGV/ });
  assert.equal(chunks.length, 2);

  // Together with one that crashes: what has streamed fails, what has not is repeated.
  let begun: () => void = () => undefined;
  const streaming = new Promise<void>((resolve) => (begun = resolve));
  const early = run(isolated, { chunks: 50, sleep: 50 }, { onChunk: () => begun() });
  early.catch(() => undefined);
  await streaming;
  const late = run(isolated, { chunks: 2, sleep: 600 });
  const killer = run(isolated, { sleep: 100, die: 'SIGSEGV' });
  await assert.rejects(killer, { code: 'ENGINE_CRASHED' });
  await assert.rejects(early, { code: 'ENGINE_CRASHED', message: /with 3 jobs in it/ });
  assert.deepEqual(await late, [0, 1]);
});

test('the next chunk is made when the last was dealt with, and leaving ends the generator', async (context) => {
  const isolated = isolate(context);
  const note = join(temporary(context), 'left');
  const returned = await isolated.handler(
    { id: 'stream', input: { chunks: 100, note } },
    { signal: new AbortController().signal, progress: () => undefined, log: quiet },
  );
  for await (const chunk of generatorOf(returned) ?? []) {
    if (chunk === 1) break;
  }
  assert.ok(existsSync(note), 'its cleanup has run');
});

test('a stop reaches the handler at once', async (context) => {
  const { platform } = await recordingPlatform();
  const isolated = isolate(context);
  const worker = startWorker(platform, {
    handler: isolated.handler,
    onStart: () => isolated.start(),
    concurrency: 2,
  });
  const endpoint = endpointOf(platform);
  const note = join(temporary(context), 'aborted');
  const { id } = await endpoint.run({ input: { sleep: 30_000, note } });
  await eventually('it runs', () => existsSync(`${note}.started`));
  await delay(50);
  const cancelled = Date.now();
  await endpoint.cancel(id);
  await eventually('it is told', () => existsSync(note) && readFileSync(note, 'utf8') !== '');
  const took = Number(readFileSync(note, 'utf8')) - cancelled;
  context.diagnostic(`${took} ms from the cancel to the handler's abort`);
  assert.ok(took < 200, `${took} ms`);
  assert.equal((await settled(endpoint, id)).status, 'CANCELLED');
  await worker.stop();
  await platform.close();
});

test('a job that is deaf to its abort is given up; one that blocks the process dies with it', async (context) => {
  const isolated = isolate(context, { abortMs: 300 });
  await isolated.start();
  const first = isolated.pid;
  const deaf = new AbortController();
  const reason = new Error('stop it');
  const ignored = run(isolated, { deaf: true }, { signal: deaf.signal });
  deaf.abort(reason);
  await assert.rejects(ignored, (error) => error === reason);
  assert.deepEqual(await run(isolated, { square: 2 }), { squared: 4 });
  assert.equal(isolated.pid, first, 'the process is still the same');

  const blocker = new AbortController();
  const blocked = run(isolated, { block: true, sleep: 100 }, { signal: blocker.signal });
  const beside = run(isolated, { square: 3, sleep: 1000 });
  await delay(400);
  blocker.abort(reason);
  await assert.rejects(blocked, { code: 'ENGINE_CRASHED', message: /held up/ });
  assert.deepEqual(await beside, { squared: 9 }, 'it was run again');
  assert.notEqual(isolated.pid, first);
});

test('jobs that were aborted while they waited are not run', async (context) => {
  const isolated = isolate(context);
  const controller = new AbortController();
  const waiting = run(isolated, { square: 1 }, { signal: controller.signal });
  controller.abort(new Error('no longer wanted'));
  await assert.rejects(waiting, /no longer wanted/);
  await assert.rejects(run(isolated, {}, { signal: controller.signal }), /no longer wanted/);
});

test('a process that cannot start ends the worker with the reason', async (context) => {
  const crashing = isolate(context, { settings: { dieOnStart: true } });
  const held = run(crashing, { square: 1 });
  held.catch(() => undefined);
  await assert.rejects(crashing.start(), {
    code: 'UNHEALTHY',
    message: /3 times in a row.*SIGSEGV.*cannot stand this machine/,
  });
  await assert.rejects(held, { code: 'ENGINE_CRASHED' });
  await assert.rejects(run(crashing, {}), { code: 'ENGINE_CRASHED' });
  await assert.rejects(isolate(context, { settings: { failOnStart: 'no model' } }).start(), {
    code: 'UNHEALTHY',
    check: 'start',
    message: /no model/,
  });
  await assert.rejects(isolate(context, { settings: { failedCheck: 'no GPU' } }).start(), {
    code: 'UNHEALTHY',
    check: 'gpu',
    message: 'The fitness check "gpu" failed: no GPU',
  });
  assert.throws(() => isolatedHandler({ module: './relative.js' }), { code: 'INVALID_ARGUMENT' });
});

test('a process that dies idle, over and over, ends a running worker', async (context) => {
  const { platform } = await recordingPlatform();
  const isolated = isolate(context);
  const worker = runWorker({
    ...{ handler: isolated.handler, onStart: () => isolated.start(), signal: isolated.broken },
    ...{ env: platform.environment('w'), log: quiet, handleSignals: false, retry: FAST_RETRY },
  });
  const ended = assert.rejects(worker, { code: 'ENGINE_CRASHED', message: /3 times in a row/ });
  const pids = new Set<number>();
  while (!isolated.broken.aborted) {
    const { pid } = isolated;
    if (pid !== undefined && !pids.has(pid)) {
      pids.add(pid);
      process.kill(pid, 'SIGKILL');
    }
    await delay(5);
  }
  await ended;
  assert.equal(pids.size, 3);
  await platform.close();
});

test('lines of the process join the log, its raw output too, redacted', async (context) => {
  const lines: string[] = [];
  const env = { ...process.env, MY_SECRET: 'swordfish-swordfish', RUNPOD_ENDPOINT_ID: 'e' };
  const log = createLogger({ env, write: (line) => lines.push(line) });
  const isolated = isolate(context, { log, env });
  await run(isolated, { say: 'swordfish-swordfish' });
  await eventually('all lines', () => lines.length >= 4);
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const level = (text: RegExp) =>
    parsed.find(({ message }) => text.test(String(message)))?.['level'];
  assert.equal(level(/^log of \*\*\*$/), 'INFO');
  assert.equal(level(/^output of \*\*\*$/), 'INFO');
  assert.equal(level(/^errors of \*\*\*$/), 'WARN');
  const own = parsed.find(({ message }) => message === 'log of ***');
  assert.equal(own?.['requestId'], `job-${serial}`);
});

test('concurrency follows the load that the engine reports', async (context) => {
  const load = { capacity: 4, engaged: 0, preparing: 3 };
  const isolated = isolate(context, { settings: { load }, maxConcurrency: 12 });
  assert.equal(isolated.concurrency(0), 0, 'nothing is taken before there is an engine');
  await isolated.start();
  assert.equal(isolated.concurrency(0), 11);
  assert.equal(isolated.concurrency(1), 12, 'a job whose result is on its way needs no engine');
  assert.equal(isolated.concurrency(5), 12, 'the bound');
  const silent = isolate(context);
  await silent.start();
  assert.equal(silent.concurrency(0), 1);
});

test('the process ends with its parent, even one that is killed, even while it is blocked', async () => {
  for (const block of [false, true]) {
    const script = `
      const { isolatedHandler } = await import(${JSON.stringify(new URL('../../../src/runpod/index.js', import.meta.url).href)});
      const isolated = isolatedHandler({ module: ${JSON.stringify(module.href)} });
      await isolated.start();
      const context = { signal: new AbortController().signal, progress() {}, log: console };
      if (${block}) void isolated.handler({ id: 'b', input: { block: true } }, context);
      else await isolated.handler({ id: 'a', input: { square: 1 } }, context);
      setTimeout(() => console.log(isolated.pid), 200);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    assert.ok(pid > 0 && alive(pid));
    // Ctrl-C reaches the parent alone; the process itself heeds neither signal.
    process.kill(pid, 'SIGINT');
    process.kill(pid, 'SIGTERM');
    await delay(100);
    assert.ok(alive(pid));
    const killed = Date.now();
    parent.kill('SIGKILL');
    await eventually('it is gone', () => !alive(pid), 10_000);
    assert.ok(Date.now() - killed < 2000, `${Date.now() - killed} ms`);
  }
});

test('it works from CommonJS', async (context) => {
  const bundle = join(packageRoot(), 'dist', 'cjs', 'runpod.cjs');
  if (!existsSync(bundle)) return context.skip('dist/cjs is not built');
  const script = `
    const { isolatedHandler } = require(${JSON.stringify(bundle)});
    if (!isolatedHandler) { console.log('old'); process.exit(); }
    const isolated = isolatedHandler({ module: ${JSON.stringify(fileURLToPath(module))} });
    const context = { signal: new AbortController().signal, progress() {}, log: console };
    isolated.handler({ id: 'a', input: { square: 4 } }, context).then((output) => {
      console.log(JSON.stringify(output));
      return isolated.stop();
    });`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  if (out === 'old\n') return context.skip('dist/cjs is older than isolatedHandler');
  assert.match(out, /^\{"squared":16\}$/m);
  return undefined;
});
