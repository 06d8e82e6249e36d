/** `voxpod serve` in a terminal: Ctrl-C drains, and nothing is left when it is killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import { connect } from '../../../src/client/submit.js';
import { tinyFolder, whyNotReal } from '../models/real.js';
import { eventually, settled } from '../runpod/support.js';

const CLI = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const skip = whyNotReal(false);
const input = {
  audio_base64: readFileSync(
    join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav'),
  ).toString('base64'),
};

/** All processes below this one, with the state of each; a zombie has ended. */
function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8');
      const parent = Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended since.
    }
  }
  const below = (of: number): number[] =>
    (children.get(of) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function serve(context: TestContext) {
  const child = spawn(process.execPath, [CLI, 'serve', '--port', '0', '--model', tinyFolder], {
    env: { ...process.env, VOXPOD_OFFLINE: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
    // A group of its own, as a terminal gives it one.
    detached: true,
  });
  context.after(() => child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (data: Buffer) => (log += data.toString()));
  const exited = once(child, 'exit');
  await eventually('the worker is ready', () => log.includes('is ready'), 30_000);
  const [, baseUrl = '', id = ''] = /base URL (\S+), endpoint (\S+)\./.exec(log) ?? [];
  const pid = child.pid ?? 0;
  return { pid, exited, endpoint: connect('any', id, baseUrl), log: () => log };
}

test('Ctrl-C, which the whole group gets, lets running jobs finish', { skip }, async (context) => {
  const { pid, exited, endpoint, log } = await serve(context);
  const below = descendants(pid);
  assert.equal(below.length, 2, 'the worker and its engine');
  const jobs = await Promise.all([0, 1].map(() => endpoint.run({ input }, 20_000)));
  const results = jobs.map(({ id }) => settled(endpoint, id));
  await eventually('both run', () => jobs.every(({ id }) => log().includes(`${id} | Started.`)));
  process.kill(-pid, 'SIGINT');
  for (const { status, output, error } of await Promise.all(results)) {
    assert.equal(status, 'COMPLETED', error);
    assert.match((output as { transcription: string }).transcription, /sun is shining/);
  }
  await exited;
  assert.deepEqual(below.filter(lives), []);
});

test('when it is killed its worker and its engine end, too', { skip }, async (context) => {
  const { pid, exited } = await serve(context);
  const below = descendants(pid);
  assert.equal(below.length, 2);
  process.kill(pid, 'SIGKILL');
  await exited;
  await eventually('they are gone', () => !below.some(lives), 5000);
});
