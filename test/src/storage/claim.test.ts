import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { claimFolder, isAbandoned, tryClaimFolder } from '../../../src/storage/claim.js';
import { temporaryFolder } from './temporary.js';

const never = (): Promise<boolean> => Promise.resolve(false);

test('the second waits until the first lets go, and gets what lies there', async (t) => {
  const folder = join(await temporaryFolder(t), 'work');
  const first = await claimFolder(folder, { done: never });
  assert.ok(first);
  await writeFile(join(folder, 'half'), 'x');
  let waited = false;
  let second: unknown;
  const waiting = claimFolder(folder, {
    done: never,
    pollMs: 10,
    onWait: () => (waited = true),
  }).then((claim) => (second = claim));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(waited, true);
  assert.equal(second, undefined);
  await first.release();
  const claim = await waiting;
  assert.ok(claim);
  assert.ok((await readdir(folder)).includes('half'));
  await claim.release();
});

test('of many, one works at a time', async (t) => {
  const folder = join(await temporaryFolder(t), 'work');
  let working = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    const claim = await claimFolder(folder, { done: never, pollMs: 2 });
    working += 1;
    most = Math.max(most, working);
    await new Promise((resolve) => setTimeout(resolve, 5));
    working -= 1;
    await claim?.release();
  };
  await Promise.all(Array.from({ length: 12 }, work));
  assert.equal(most, 1);
});

test('the claim of a process that is gone is taken over at once', async (t) => {
  const folder = await temporaryFolder(t);
  const probe = await claimFolder(folder, { done: never });
  await probe?.release();
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(join(folder, 'owner-1.json'), 'utf8');
  const owner = JSON.parse(text) as Record<string, unknown>;
  // Our own number, with another start: a process that had it before us.
  const dead = { ...owner, released: false, started: '1' };
  await writeFile(join(folder, 'owner-2.json'), JSON.stringify(dead));
  const started = performance.now();
  const claim = await claimFolder(folder, { done: never });
  assert.ok(performance.now() - started < 200);
  assert.ok((await readdir(folder)).includes('owner-3.json'));
  await claim?.release();
});

test('an owner elsewhere counts as dead once it stops touching its file', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'owner-1.json');
  await writeFile(file, JSON.stringify({ machine: 'elsewhere', pid: 1, started: '1' }));
  const beat = setInterval(() => {
    const now = new Date();
    void utimes(file, now, now);
  }, 20);
  setTimeout(() => clearInterval(beat), 400);
  const started = performance.now();
  const claim = await claimFolder(folder, { done: never, staleMs: 200, pollMs: 10 });
  const waited = performance.now() - started;
  assert.ok(waited > 550 && waited < 3000, `${waited} ms`);
  await claim?.release();
});

test('an owner that was replaced is told', async (t) => {
  const folder = await temporaryFolder(t);
  const claim = await claimFolder(folder, { done: never, staleMs: 60 });
  assert.ok(claim);
  await writeFile(join(folder, 'owner-2.json'), '{}');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(claim.lost.aborted, true);
  await claim.release();
});

test('waiting ends when the work is done, or by a signal', async (t) => {
  const folder = join(await temporaryFolder(t), 'work');
  const first = await claimFolder(folder, { done: never });
  let done = false;
  const waiting = claimFolder(folder, { done: () => Promise.resolve(done), pollMs: 5 });
  done = true;
  assert.equal(await waiting, undefined);
  const controller = new AbortController();
  const aborted = claimFolder(folder, { done: never, pollMs: 5, signal: controller.signal });
  controller.abort(new Error('enough'));
  await assert.rejects(aborted, /enough/);
  await first?.release();
});

test('a folder is abandoned when its owner is dead or done, not while it lives', async (t) => {
  const folder = await temporaryFolder(t);
  const claim = await claimFolder(folder, { done: never });
  assert.equal(await isAbandoned(folder, 0), false);
  await claim?.release();
  assert.equal(await isAbandoned(folder, 0), true);
  assert.equal(await isAbandoned(folder, 60_000), false);
});

test('trying gives a claim or nothing, at once', async (t) => {
  const folder = join(await temporaryFolder(t), 'work');
  const first = await tryClaimFolder(folder);
  assert.ok(first);
  assert.equal(await tryClaimFolder(folder), undefined);
  await first.release();
  const file = join(folder, 'owner-2.json');
  // Somebody elsewhere, who may be at it.
  await writeFile(file, JSON.stringify({ machine: 'elsewhere', pid: 1, started: '1' }));
  assert.equal(await tryClaimFolder(folder), undefined);
  const old = new Date(Date.now() - 11 * 60_000);
  await utimes(file, old, old);
  await (await tryClaimFolder(folder))?.release();
  // However often it changes hands, it does not fill up.
  for (let i = 0; i < 5; i++) await (await tryClaimFolder(folder))?.release();
  assert.deepEqual((await readdir(folder)).sort(), ['owner-7.json', 'owner-8.json']);
});

test('a process that ended and was not waited for is dead', async (t) => {
  const folder = await temporaryFolder(t);
  const claim = fileURLToPath(new URL('../../../src/storage/claim.js', import.meta.url));
  const script = `import(${JSON.stringify(claim)})
    .then(({ tryClaimFolder }) => tryClaimFolder(${JSON.stringify(folder)}))
    .then(() => process.kill(process.pid, 'SIGKILL'))`;
  // A parent that never asks for its children's status.
  const parent = spawn('sh', ['-c', '"$0" -e "$1" & exec sleep 60', process.execPath, script]);
  t.after(() => parent.kill('SIGKILL'));
  const deadline = Date.now() + 20_000;
  while (!(await readdir(folder)).includes('owner-1.json')) {
    assert.ok(Date.now() < deadline);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const taken = await claimFolder(folder, {
    done: never,
    pollMs: 20,
    signal: AbortSignal.timeout(10_000),
  });
  assert.ok(taken);
  await taken.release();
});

test('letting go of a folder that is gone leaves the next owner of its name alone', async (t) => {
  const folder = join(await temporaryFolder(t), 'work');
  const first = await tryClaimFolder(folder);
  assert.ok(first);
  await rm(folder, { recursive: true });
  const second = await tryClaimFolder(folder);
  assert.ok(second);
  await first.release();
  assert.equal(await isAbandoned(folder, 0), false);
  assert.equal(await tryClaimFolder(folder), undefined);
  await second.release();
});
