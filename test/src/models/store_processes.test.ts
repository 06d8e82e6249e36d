/** Several processes on one store, and processes that are killed. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ResolvedModel } from '../../../src/models/store.js';
import { assertWhole, fixture, modelFolders, type Fixture } from './store_fixture.js';

function resolveInProcess(f: Fixture): ChildProcess {
  const script = fileURLToPath(new URL('./resolve_process.js', import.meta.url));
  return spawn(process.execPath, [script, f.cache, f.endpoint, 'org/model'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function outcome(child: ChildProcess): Promise<ResolvedModel> {
  const [output, errors] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'close'),
  ]);
  assert.equal(child.exitCode, 0, errors);
  return JSON.parse(output) as ResolvedModel;
}

test('three processes at once: one download, three whole models', async (t) => {
  const f = await fixture(t);
  f.hub.bytesPerSecond = 300_000;
  const children = [1, 2, 3].map(() => resolveInProcess(f));
  const results = await Promise.all(children.map(outcome));
  for (const result of results) await assertWhole(result, f.repository);
  assert.equal(f.hub.transfers().length, 3);
  assert.deepEqual(await modelFolders(f.cache), ['models--org--model']);
});

test('a killed process leaves nothing visible; the next goes on where it was', async (t) => {
  const f = await fixture(t, 1_000_000);
  f.hub.bytesPerSecond = 1_000_000;
  for (let kill = 0; kill < 3; kill++) {
    const child = resolveInProcess(f);
    const target = 250_000 * (kill + 1);
    let words = '';
    child.stderr?.on('data', (data: Buffer) => {
      words += data.toString();
      const bytes = Number(/download (\d+)\n[^\n]*$/.exec(words)?.[1] ?? 0);
      if (bytes > target) child.kill('SIGKILL');
    });
    await once(child, 'close');
    assert.equal(child.signalCode, 'SIGKILL');
    await assert.rejects(f.store({ offline: true }).resolve('org/model'), {
      code: 'MODEL_NOT_FOUND',
    });
  }
  f.hub.requests.length = 0;
  const started = performance.now();
  const child = resolveInProcess(f);
  await assertWhole(await outcome(child), f.repository);
  assert.ok(performance.now() - started < 3000);
  const from = Number(/bytes=(\d+)-/.exec(f.hub.transfers().join(' '))?.[1] ?? 0);
  assert.ok(from > 700_000, `went on from ${from}`);
  assert.deepEqual(await modelFolders(f.cache), ['models--org--model']);
});

test('kills at random moments never leave a model that is not whole', async (t) => {
  const f = await fixture(t, 400_000);
  f.hub.bytesPerSecond = 2_000_000;
  for (let round = 0; round < 8; round++) {
    const children = [resolveInProcess(f), resolveInProcess(f)];
    const ends = children.map((child) => once(child, 'close'));
    await new Promise((resolve) => setTimeout(resolve, 60 + Math.random() * 350));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ends);
    const seen = await f
      .store({ offline: true })
      .resolve('org/model')
      .catch(() => undefined);
    if (seen) {
      await assertWhole(seen, f.repository);
      await rm(join(f.cache, 'models', 'models--org--model'), { recursive: true });
    }
  }
  await assertWhole(await f.store().resolve('org/model'), f.repository);
});
