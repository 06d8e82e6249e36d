import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { announceModelCache, guardDisk } from '../../../src/cache/disk_guard.js';
import { GUARDED_PATHS, MODEL_CACHE_VARIABLES } from '../../../src/cache/guarded_paths.js';

function folder(t: { after(act: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'voxpod-guard-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('on a worker every path is below the scratch folder, and exists', (t) => {
  const scratch = join(folder(t), 'scratch');
  const env: NodeJS.ProcessEnv = { RUNPOD_POD_ID: 'pod' };
  const guard = guardDisk({ env, candidates: ['/proc/no-such-place', scratch] });
  assert.equal(guard.scratch, scratch);
  assert.match(guard.line, /\/proc\/no-such-place: /);
  for (const { variable } of GUARDED_PATHS) {
    assert.ok(env[variable]?.startsWith(`${scratch}/`), variable);
    assert.ok(existsSync(env[variable] ?? ''), variable);
  }
});

test('children use what was set', (t) => {
  const scratch = folder(t);
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], VOXPOD_SCRATCH: scratch };
  guardDisk({ env });
  const print = 'process.stdout.write(require("node:os").tmpdir())';
  assert.equal(
    execFileSync(process.execPath, ['-e', print], { env, encoding: 'utf8' }),
    join(scratch, 'tmp'),
  );
  const cache = execFileSync('npm', ['config', 'get', 'cache'], { env, encoding: 'utf8' });
  assert.equal(cache.trim(), join(scratch, 'npm'));
});

test('what the user has set stays, where it can be written', (t) => {
  const own = join(folder(t), 'mine', 'deeper');
  const env: NodeJS.ProcessEnv = {
    VOXPOD_SCRATCH: folder(t),
    PIP_CACHE_DIR: own,
    TORCH_HOME: '/proc/nowhere',
  };
  guardDisk({ env });
  assert.equal(env['PIP_CACHE_DIR'], own);
  assert.equal(env['TORCH_HOME'], join(env['VOXPOD_SCRATCH'] ?? '', 'torch'));
});

test("elsewhere the user's settings are left alone", () => {
  const env: NodeJS.ProcessEnv = {};
  assert.equal(guardDisk({ env }).scratch, undefined);
  assert.deepEqual(env, {});
});

test('without any place to write nothing is changed, and the line says so', () => {
  const env: NodeJS.ProcessEnv = { RUNPOD_POD_ID: 'pod' };
  const guard = guardDisk({ env, candidates: ['/proc/a', '/sys/b'] });
  assert.equal(guard.scratch, undefined);
  assert.match(guard.line, /No folder.*\/proc\/a.*\/sys\/b/);
  assert.equal(env['TMPDIR'], undefined);
});

test('the models are announced to children in the variables that their libraries read', () => {
  const env: NodeJS.ProcessEnv = { HF_HUB_CACHE: '/elsewhere' };
  announceModelCache('/tier', env);
  assert.deepEqual(env, { HF_HUB_CACHE: '/tier', TRANSFORMERS_CACHE: '/tier' });
});

test('the image and the documentation have the same list', () => {
  const root = packageRoot();
  const image = readFileSync(join(root, 'Dockerfile.runpod'), 'utf8');
  const page = readFileSync(join(root, 'docs', 'storage.md'), 'utf8');
  for (const { variable, folder: below, usedBy, otherwise } of GUARDED_PATHS) {
    assert.ok(
      image.includes(`${variable}=/tmp/cache/scratch/${below} `),
      `${variable} in the image`,
    );
    assert.ok(
      page.includes(`| \`${variable}\` | \`${below}\` | ${usedBy} | ${otherwise} |`),
      `${variable} in docs/storage.md`,
    );
  }
  for (const variable of MODEL_CACHE_VARIABLES) assert.ok(page.includes(`\`${variable}\``));
});
