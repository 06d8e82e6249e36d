import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
let empty: string;
before(() => {
  empty = mkdtempSync(join(tmpdir(), 'voxpod-info-'));
});
after(() => {
  rmSync(empty, { recursive: true });
});

function voxpod(args: string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [main, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
}

describe('voxpod info', () => {
  it('works and says what is missing where there is neither addon nor libtorch', () => {
    const nothing = { VOXPOD_ADDON: empty, VOXPOD_CACHE: empty, LIBTORCH: '' };
    const text = voxpod(['info'], nothing);
    assert.equal(text.status, 0, text.stderr);
    assert.match(text.stdout, /^libtorch +not found$/m);
    assert.match(text.stdout, /passed over.*2\.11\.0\+cpu: not installed/);
    assert.match(text.stdout, /Not ready: .*voxpod\.node/);

    const json = voxpod(['info', '--json'], nothing);
    const report = JSON.parse(json.stdout) as Record<string, unknown>;
    assert.equal(json.status, 0);
    assert.equal(report['node'], process.version);
    assert.equal(report['addon'], null);
    assert.equal(report['libtorch'], null);
    assert.equal((report['rejected'] as unknown[]).length, 2);
    assert.equal((report['problem'] as { code: string }).code, 'ADDON_NOT_FOUND');
  });

  it('names the devices and types where everything is there', (t) => {
    const report = JSON.parse(voxpod(['info', '--json']).stdout) as {
      problem: { code: string } | null;
      devices: { name: string }[];
      torch: string;
      cpu: { dtype: string; cores: number };
    };
    if (report.problem?.code.endsWith('_NOT_FOUND')) {
      t.skip('the addon is not built, or there is no libtorch');
      return;
    }
    assert.equal(report.problem, null);
    assert(report.devices.some(({ name }) => name === 'cpu'));
    assert.match(report.torch, /^2\.11\./);
    assert.match(report.cpu.dtype, /^(float32|bfloat16|int8)$/);
    assert(report.cpu.cores >= 1);
  });
});

describe('the command line', () => {
  it('lists all commands in its help', () => {
    const { status, stdout } = voxpod(['--help']);
    assert.equal(status, 0);
    for (const command of ['setup', 'info', 'transcribe', 'worker']) {
      assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
    }
  });

  it('ends with 2 and one line for a wrong command or option', () => {
    for (const [args, message] of [
      [['sing'], /^voxpod: unknown command 'sing'\n$/],
      [['info', '--yaml'], /^voxpod: unknown option '--yaml'\n$/],
    ] as const) {
      const { status, stdout, stderr } = voxpod([...args]);
      assert.equal(status, 2);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    }
  });

  it('ends with 2 and the usage on standard error for nothing at all', () => {
    const { status, stdout, stderr } = voxpod([]);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^Usage: voxpod/);
  });

  it('prints a code always, and a stack only when asked', () => {
    const env = { LIBTORCH: join(empty, 'none') };
    const plain = voxpod(['setup'], env);
    assert.equal(plain.status, 1);
    assert.match(plain.stderr, /^voxpod: .*\(LIBTORCH_NOT_FOUND\)\n$/s);
    assert.doesNotMatch(plain.stderr, /^ +at /m);
    assert.match(voxpod(['setup', '--verbose'], env).stderr, /^ +at .*setup\.js/m);
    assert.match(voxpod(['setup'], { ...env, VOXPOD_DEBUG: '1' }).stderr, /^ +at /m);
  });
});
