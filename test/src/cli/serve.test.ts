import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import { connect } from '../../../src/client/submit.js';
import { tinyFolder, whyNotReal } from '../models/real.js';
import { eventually, settled } from '../runpod/support.js';

const CLI = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const SPEECH = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], VOXPOD_OFFLINE: '1' };
const started = { ...env, ...nativeVariables() };

/** Where the addon and libtorch are, if the tests were told. */
function nativeVariables(): NodeJS.ProcessEnv {
  const names = ['LIBTORCH', 'VOXPOD_ADDON', 'VOXPOD_CACHE', 'XDG_CACHE_HOME'];
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

/** The processes that this one has started and that still run. */
function childrenOf(pid: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return new RegExp(`^PPid:\\s+${pid}$`, 'm').test(
          readFileSync(`/proc/${name}/status`, 'utf8'),
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

test('wrong options are refused; other addresses than the loopback need a key', () => {
  const wrong: [string[], RegExp][] = [
    [['--port', '65536'], /between 0 and 65535/],
    [['--host', 'localhost'], /IP address/],
    [['--host', '0.0.0.0'], /VOXPOD_API_KEY/],
    [['--concurrency', '0'], /at least 1/],
  ];
  for (const [args, message] of wrong) {
    const run = spawnSync(process.execPath, [CLI, 'serve', ...args], { env, encoding: 'utf8' });
    assert.equal(run.status, 2, run.stderr);
    assert.match(run.stderr, message);
  }
});

test('a port that is taken, or a worker that cannot start, ends it with the reason', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const taken = spawnSync(process.execPath, [CLI, 'serve', '--port', String(port)], {
    env,
    encoding: 'utf8',
  });
  other.close();
  assert.equal(taken.status, 1);
  assert.match(taken.stderr, /EADDRINUSE/);
  const hopeless = spawnSync(
    process.execPath,
    [CLI, 'serve', '--port', '0', '--model', '/nonexistent/model'],
    { env, encoding: 'utf8' },
  );
  assert.equal(hopeless.status, 1, hopeless.stderr);
  assert.match(
    hopeless.stderr,
    /\/nonexistent\/model[^]*ended with exit code \d before it took a job/,
  );
});

test(
  'it serves jobs, starts a killed worker again, and ends cleanly',
  { skip: whyNotReal(false) },
  async () => {
    const child = spawn(process.execPath, [CLI, 'serve', '--port', '0', '--model', tinyFolder], {
      env: { ...started, RUNPOD_API_KEY: 'secret-of-the-account' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    let out = '';
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (log += data.toString()));
    try {
      await eventually('it says where', () => log.includes('voxpod submit'));
      const [, baseUrl = '', id = ''] = /base URL (\S+), endpoint (\S+)\./.exec(log) ?? [];
      assert.match(baseUrl, /^http:\/\/127\.0\.0\.1:\d+\/v2$/);
      assert.match(log, new RegExp(`curl ${baseUrl}/${id}/runsync`));
      const endpoint = connect('any', id, baseUrl);
      const input = { audio_base64: readFileSync(SPEECH).toString('base64') };
      const transcribed = async (): Promise<string> => {
        const job = await endpoint.run({ input }, 20_000);
        const { status, output, error } = await settled(endpoint, job.id);
        assert.equal(status, 'COMPLETED', error);
        return (output as { transcription: string }).transcription;
      };
      assert.match(await transcribed(), /sun is shining/);

      const [workerPid = 0, ...more] = childrenOf(child.pid);
      assert.deepEqual(more, []);
      const environment = readFileSync(`/proc/${workerPid}/environ`, 'utf8');
      assert.doesNotMatch(environment, /secret-of-the-account/);
      process.kill(workerPid, 'SIGKILL');
      assert.match(await transcribed(), /sun is shining/);
      assert.match(log, /ended with signal SIGKILL; starting it again in \d\.\d s/);
      await stop(child);
      assert.equal(child.exitCode, 0, log);
      assert.equal(out, '');
      assert.deepEqual(childrenOf(child.pid), []);
    } finally {
      if (child.exitCode === null) child.kill('SIGKILL');
    }
  },
);

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
