/**
 * The real pip against a folder of wheels made here. They carry PyTorch's local version "+cpu",
 * which is accepted on the word of its own RECORD; the pinned wheels are refused when they differ.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { DownloadError } from '../../../lib/errors.js';
import { findLibtorch, type LibtorchManifest } from '../../../lib/libtorch.js';
import { installLibtorch, type InstallProgress } from '../../../src/setup/libtorch.js';
import { requirePinned, unpackWheel, wheelVersion } from '../../../src/setup/wheel.js';
import { CPU_WHEELS, CUDA_WHEELS } from '../../../src/setup/wheels.js';

const pip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
const skip = !pip && 'there is no python3 with pip';

const LIBRARIES = {
  'torch/lib/libc10.so': 'c10',
  // Larger than what is unpacked in memory.
  'torch/lib/libtorch_cpu.so': 'torch'.repeat(500_000),
  'torch/lib/libgomp.so.1': 'gomp',
  'torch/lib/libtorch_python.so': 'not wanted',
  'torch/include/ATen/ATen.h': '#pragma once\n',
  'torch/__init__.py': 'raise RuntimeError("not to be run")',
};

let folder: string;
let cache: string;
let wheels: string;

before(() => {
  process.env['PIP_NO_INDEX'] = '1';
  process.env['PIP_DISABLE_PIP_VERSION_CHECK'] = '1';
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'voxpod-setup-'));
  cache = join(folder, 'cache');
  wheels = join(folder, 'wheels');
  mkdirSync(wheels);
  process.env['PIP_FIND_LINKS'] = wheels;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Writes a wheel; `lies` are files whose bytes differ from what RECORD says. */
function makeWheel(version: string, files: Record<string, string>, lies: string[] = []): string {
  const info = `torch-${version}.dist-info`;
  const all: Record<string, string> = {
    ...files,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: torch\nVersion: ${version}\n`,
    [`${info}/WHEEL`]:
      'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n',
  };
  const record = Object.entries(all).map(([name, content]) => {
    const digest = createHash('sha256').update(content).digest('base64url');
    return `${name},sha256=${digest},${content.length}\n`;
  });
  all[`${info}/RECORD`] = `${record.join('')}${info}/RECORD,,\n`;
  for (const name of lies) all[name] = `${all[name] ?? ''}!`;
  const path = join(wheels, `torch-${version}-cp311-cp311-manylinux_2_28_x86_64.whl`);
  const script =
    'import json, sys, zipfile\n' +
    'with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:\n' +
    '    [z.writestr(n, c) for n, c in json.load(sys.stdin).items()]';
  const made = spawnSync('python3', ['-c', script, path], { input: JSON.stringify(all) });
  assert.equal(made.status, 0, String(made.stderr));
  return path;
}

const failsWith = (code: string, message: RegExp) => (error: unknown) => {
  assert(error instanceof DownloadError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

/** Everything in the cache's libtorch folder: nothing half done may be left there. */
function left(): string[] {
  const root = join(cache, 'libtorch');
  return existsSync(root) ? readdirSync(root).sort() : [];
}

describe('installLibtorch', { skip }, () => {
  it('keeps what a CPU needs, checked, with a manifest, and is found', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES);
    const seen: InstallProgress[] = [];
    const result = await installLibtorch({ cache, onProgress: (progress) => seen.push(progress) });
    assert.equal(result.installed, true);
    assert.equal(result.version, '2.11.0+cpu');
    assert.deepEqual(left(), ['2.11.0+cpu']);
    assert.deepEqual(readdirSync(result.directory).sort(), ['lib', 'voxpod.json']);
    assert.deepEqual(readdirSync(join(result.directory, 'lib')).sort(), [
      'libc10.so',
      'libgomp.so.1',
      'libtorch_cpu.so',
    ]);
    const manifest = JSON.parse(
      readFileSync(join(result.directory, 'voxpod.json'), 'utf8'),
    ) as LibtorchManifest;
    const cpu = manifest.files.find(({ path }) => path === 'lib/libtorch_cpu.so');
    const content = readFileSync(join(result.directory, 'lib/libtorch_cpu.so'), 'utf8');
    assert.equal(content, LIBRARIES['torch/lib/libtorch_cpu.so']);
    assert.equal(cpu?.size, content.length);
    assert.equal(cpu.sha256, createHash('sha256').update(content).digest('hex'));
    assert.equal(seen.at(-1)?.phase, 'unpack');

    const { libtorch } = findLibtorch({ env: { VOXPOD_CACHE: cache }, driver: false });
    assert.equal(libtorch?.directory, result.directory);
  });

  it('does nothing the second time, and adds headers later', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES);
    const { directory } = await installLibtorch({ cache });
    assert.equal((await installLibtorch({ cache, python: '/no/python' })).installed, false);
    assert.equal((await installLibtorch({ cache, headers: true })).installed, true);
    assert(existsSync(join(directory, 'include/ATen/ATen.h')));
    assert.equal((await installLibtorch({ cache, headers: true })).installed, false);
    assert.deepEqual(left(), ['2.11.0+cpu']);
  });

  it('makes a damaged installation anew', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES);
    const { directory } = await installLibtorch({ cache, headers: true });
    writeFileSync(join(directory, 'lib/libc10.so'), 'cut sho');
    assert.equal((await installLibtorch({ cache })).installed, true);
    assert.equal(readFileSync(join(directory, 'lib/libc10.so'), 'utf8'), 'c10');
  });

  it('shares one download between two at once', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES);
    const module = new URL('../../../src/setup/libtorch.js', import.meta.url).href;
    const script = `
      import { installLibtorch } from ${JSON.stringify(module)};
      const { installed } = await installLibtorch({ cache: ${JSON.stringify(cache)} });
      console.log(installed);`;
    const { spawn } = await import('node:child_process');
    const outcomes = await Promise.all(
      [0, 1, 2].map(async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
        child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
        await new Promise((resolve) => child.on('close', resolve));
        return output.trim();
      }),
    );
    assert.deepEqual(outcomes.sort(), ['false', 'false', 'true']);
    assert.deepEqual(left(), ['2.11.0+cpu']);
  });

  it('clears up behind a process that died at it', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES);
    const dead = join(cache, 'libtorch', '.incomplete-2.11.0+cu130');
    mkdirSync(dead, { recursive: true });
    const machine = await machineOf(cache);
    // No process has this number: it is above the kernel's limit (pid_max).
    writeFileSync(
      join(dead, 'owner-1.json'),
      JSON.stringify({ machine, pid: 2 ** 22 + 1, started: '1' }),
    );
    writeFileSync(join(dead, 'half-a-wheel'), 'x');
    await installLibtorch({ cache });
    assert.deepEqual(left(), ['2.11.0+cpu']);
  });

  it('leaves nothing when it is aborted', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES);
    const controller = new AbortController();
    const reason = new Error('enough');
    const running = installLibtorch({
      cache,
      signal: controller.signal,
      onProgress: ({ phase }) => phase === 'unpack' && controller.abort(reason),
    });
    await assert.rejects(running, reason);
    assert.deepEqual(left(), []);
  });

  it('refuses a wheel whose file is not what its RECORD says', async () => {
    makeWheel('2.11.0+cpu', LIBRARIES, ['torch/lib/libtorch_cpu.so']);
    await assert.rejects(
      installLibtorch({ cache }),
      failsWith('CHECKSUM_MISMATCH', /libtorch_cpu\.so .* RECORD/),
    );
    assert.deepEqual(left(), []);
  });

  it('refuses another file under the pinned name, and an unknown local version', async () => {
    for (const version of ['2.11.0', '2.11.0+evil']) {
      rmSync(wheels, { recursive: true });
      mkdirSync(wheels);
      makeWheel(version, LIBRARIES);
      await assert.rejects(
        installLibtorch({ cache }),
        failsWith('CHECKSUM_MISMATCH', /has the SHA-256 \w{64} instead of 7aa2f9bb/),
      );
    }
    assert.deepEqual(left(), []);
  });

  it('refuses a wheel without the libraries', async () => {
    makeWheel('2.11.0+cpu', { 'torch/__init__.py': '' });
    await assert.rejects(installLibtorch({ cache }), failsWith('SETUP_FAILED', /holds no libc10/));
  });

  it('says what to do when pip finds nothing', async () => {
    await assert.rejects(
      installLibtorch({ cache }),
      failsWith('SETUP_FAILED', /torch==2\.11\.0.*set LIBTORCH to its folder/s),
    );
    assert.deepEqual(left(), []);
  });
});

it('says what to do where there is no Python', async () => {
  await assert.rejects(
    installLibtorch({ cache, python: '/no/such/python3' }),
    failsWith('SETUP_FAILED', /\/no\/such\/python3 is not installed.*LIBTORCH/s),
  );
});

describe('a wheel', { skip }, () => {
  it('has its version in its name, however the plus sign is written', () => {
    assert.equal(wheelVersion('/x/torch-2.11.0%2Bcpu-cp311-cp311-linux_x86_64.whl'), '2.11.0+cpu');
    assert.equal(wheelVersion('/x/torch-2.11.0-cp311-cp311-linux_x86_64.whl'), '2.11.0');
  });

  it('is accepted by its digest', async () => {
    const path = makeWheel('2.11.0', LIBRARIES);
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    const pinned = { ...CPU_WHEELS[0]!, sha256 };
    await requirePinned(path, pinned, [], new AbortController().signal);
  });

  it('cannot write outside of the folder', async () => {
    const path = makeWheel('2.11.0', { 'torch/include/../../../escaped.h': 'x' });
    await assert.rejects(
      unpackWheel(path, join(folder, 'tree'), (name) => name, new AbortController().signal),
    );
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('escaped')),
      [],
    );
  });
});

it('pins each wheel once, and CUDA as a superset of CPU', () => {
  for (const list of [CPU_WHEELS, CUDA_WHEELS]) {
    assert.equal(new Set(list.map(({ requirement }) => requirement)).size, list.length);
    for (const { sha256 } of list) assert.match(sha256, /^[0-9a-f]{64}$/);
  }
  for (const { requirement, sha256 } of CPU_WHEELS) {
    assert.equal(CUDA_WHEELS.find((wheel) => wheel.requirement === requirement)?.sha256, sha256);
  }
});

/** How claims name this machine: read off one. */
async function machineOf(root: string): Promise<string> {
  const { claimFolder } = await import('../../../src/storage/claim.js');
  const probe = join(root, 'probe');
  const claim = await claimFolder(probe, { done: () => Promise.resolve(false) });
  const owner = JSON.parse(readFileSync(join(probe, 'owner-1.json'), 'utf8')) as {
    machine: string;
  };
  await claim?.release();
  return owner.machine;
}
