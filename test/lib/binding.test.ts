import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { findAddon, fromNative } from '../../lib/binding.js';
import { missingCpuFeatures, readCpu, vectorFeatures } from '../../lib/cpu.js';
import { ArgumentError, ModelError, NativeError, VoxpodError } from '../../lib/errors.js';
import { findLibtorch } from '../../lib/libtorch.js';
import { packageRoot } from '../../lib/package_root.js';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'voxpod-binding-'));
});
after(() => {
  rmSync(folder, { recursive: true });
});

/** Loads the addon in a process of its own: what is opened cannot be closed again. */
function loadIn(env: NodeJS.ProcessEnv): { code?: string; message?: string; torch?: string } {
  const binding = new URL('../../lib/binding.js', import.meta.url).href;
  const script = `
    import { loadNative } from ${JSON.stringify(binding)};
    try { console.log(JSON.stringify({ torch: loadNative().info().torch })); }
    catch ({ code, message }) { console.log(JSON.stringify({ code, message })); }`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout) as ReturnType<typeof loadIn>;
}

function built(): string | false {
  try {
    findAddon();
    return false;
  } catch {
    return 'the addon is not built';
  }
}

describe('fromNative', () => {
  const native = (code: string) => Object.assign(new Error('why'), { code });

  it('gives each code its class, and keeps message and cause', () => {
    for (const [code, type] of [
      ['INVALID_ARGUMENT', ArgumentError],
      ['CHECKPOINT_CORRUPT', ModelError],
      ['MODEL_NOT_FOUND', ModelError],
      ['MODEL_INVALID', ModelError],
      ['MODEL_UNSUPPORTED', ModelError],
      ['DEVICE_UNAVAILABLE', NativeError],
      ['OUT_OF_MEMORY', NativeError],
      ['QUEUE_FULL', NativeError],
      ['DISPOSED', NativeError],
      ['NATIVE_FAILURE', NativeError],
    ] as const) {
      const original = native(code);
      const error = fromNative(original);
      assert(error instanceof type, code);
      assert(error instanceof VoxpodError);
      assert.equal(error.code, code);
      assert.equal(error.message, 'why');
      assert.equal(error.cause, original);
    }
  });

  it('leaves cancellation, errors of voxpod and everything else as they are', () => {
    const known = new ModelError('MODEL_INVALID', 'why');
    for (const error of [
      native('CANCELLED'),
      native('ENOENT'),
      native('toString'),
      known,
      1,
      null,
    ]) {
      assert.equal(fromNative(error), error);
    }
  });
});

describe('the CPU', () => {
  const cpuinfo = (flags: string): string => {
    const path = join(folder, 'cpuinfo');
    writeFileSync(path, `processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: ${flags}\n`);
    return path;
  };

  it('that lacks what the kernels need is named with what it lacks', () => {
    const cpu = readCpu(cpuinfo('fpu sse4_2 avx f16c'));
    assert.equal(cpu?.model, 'Some CPU');
    assert.deepEqual(missingCpuFeatures(cpu), ['avx2', 'fma']);
  });

  it('that has it is accepted, and its features have the names of the addon', () => {
    const cpu = readCpu(cpuinfo('avx2 fma f16c avx512f avx512_bf16 amx_bf16'));
    assert.deepEqual(missingCpuFeatures(cpu), []);
    assert.deepEqual(vectorFeatures(cpu), ['avx2', 'avx512', 'avx512_bf16', 'amx_bf16']);
  });

  it('that cannot be looked up is given the benefit of the doubt', () => {
    assert.deepEqual(missingCpuFeatures(readCpu(join(folder, 'none'))), []);
  });
});

describe('loadNative', () => {
  it('says which file VOXPOD_ADDON lacks', () => {
    const { code, message } = loadIn({ VOXPOD_ADDON: folder });
    assert.equal(code, 'ADDON_NOT_FOUND');
    assert(message?.includes(join(folder, 'voxpod.node')));
  });

  it('loads the addon built for this libtorch', { skip: built() || withoutLibtorch() }, () => {
    assert.match(loadIn({}).torch ?? '', /^2\.11\./);
  });

  it('refuses an incomplete libtorch with the words of the linker', { skip: built() }, () => {
    mkdirSync(join(folder, 'torn', 'lib'), { recursive: true });
    writeFileSync(join(folder, 'torn', 'lib', 'libtorch_cpu.so'), 'not a library at all');
    const { code, message } = loadIn({ LIBTORCH: join(folder, 'torn') });
    assert.equal(code, 'LIBTORCH_NOT_FOUND');
    assert.match(message ?? '', /libtorch_cpu\.so.*(file too short|invalid ELF header)/s);
  });

  it('refuses a libtorch of another ABI before the addon is opened', { skip: built() }, (t) => {
    const lib = join(folder, 'other', 'lib');
    mkdirSync(lib, { recursive: true });
    const source = join(folder, 'other.c');
    writeFileSync(
      source,
      'unsigned long aoti_torch_abi_version(void) { return 0x020e010000000000UL; }',
    );
    const args = ['-shared', '-fPIC', '-o', join(lib, 'libtorch_cpu.so'), source];
    if (spawnSync('cc', args).status !== 0) {
      t.skip('no C compiler');
      return;
    }
    const { code, message } = loadIn({ LIBTORCH: join(folder, 'other') });
    assert.equal(code, 'LIBTORCH_MISMATCH');
    assert.match(message ?? '', /torch 2\.14\.1, and voxpod is built for 2\.11\.0/);
  });
});

function withoutLibtorch(): string | false {
  return findLibtorch().libtorch === null && 'no libtorch is installed';
}

it('finds the root of the package from where this was compiled to', () => {
  assert(existsSync(join(packageRoot(), 'native', 'loader', 'loader.cpp')));
});
