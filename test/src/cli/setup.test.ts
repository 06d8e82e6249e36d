import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'voxpod-setup-cli-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const environment = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...process.env,
  VOXPOD_CACHE: join(folder, 'cache'),
  LIBTORCH: '',
  ...env,
});

function setup(args: string[], env: NodeJS.ProcessEnv) {
  return spawnSync(process.execPath, [main, 'setup', ...args], {
    env: environment(env),
    encoding: 'utf8',
  });
}

/** A libtorch as an unpacked zip has it, as far as set-up looks. */
function unpackedZip(...files: string[]): string {
  const zip = join(folder, 'zip');
  for (const path of ['lib/libtorch_cpu.so', ...files]) {
    mkdirSync(join(zip, path, '..'), { recursive: true });
    writeFileSync(join(zip, path), '');
  }
  writeFileSync(join(zip, 'build-version'), '2.11.0+cpu\n');
  return zip;
}

describe('voxpod setup', () => {
  it('is content with the LIBTORCH it is given', () => {
    const { status, stdout } = setup([], { LIBTORCH: unpackedZip() });
    assert.equal(status, 0);
    assert.match(stdout, /^libtorch 2\.11\.0\+cpu in .*zip \(LIBTORCH\) is there already\.$/m);
  });

  it('refuses a LIBTORCH that lacks what was asked for, and installs nothing beside it', () => {
    const LIBTORCH = unpackedZip();
    for (const [option, reason] of [
      ['--headers', /it has no headers/],
      ['--cuda', /it has no CUDA libraries/],
    ] as const) {
      const { status, stderr } = setup([option], { LIBTORCH });
      assert.equal(status, 1);
      assert.match(stderr, reason);
      assert.match(stderr, /\(LIBTORCH_NOT_FOUND\)$/m);
    }
    assert(!existsSync(join(folder, 'cache')));
  });

  it('fails with what to do where there is no Python', () => {
    const { status, stderr } = setup([], { VOXPOD_PYTHON: '/no/such/python3' });
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^voxpod: libtorch could not be installed: .*LIBTORCH.*\(SETUP_FAILED\)$/ms,
    );
  });

  it('ends with 130 on an interrupt, and leaves nothing behind', async () => {
    // Stands for a download that takes long.
    const python = join(folder, 'python3');
    writeFileSync(python, '#!/bin/sh\nexec sleep 60\n');
    chmodSync(python, 0o755);
    const child = spawn(process.execPath, [main, 'setup'], {
      env: environment({ VOXPOD_PYTHON: python }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise((resolve) => child.on('close', resolve));
    while (!stderr.includes('libtorch: 0%')) await sleep(50);
    child.kill('SIGINT');
    assert.equal(await ended, 130, stderr);
    assert.match(stderr, /^voxpod: interrupted$/m);
    assert.deepEqual(readdirSync(join(folder, 'cache', 'libtorch')), []);
  });
});
