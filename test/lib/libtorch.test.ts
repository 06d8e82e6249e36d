import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { findLibtorch, libtorchNotFound, MANIFEST_NAME } from '../../lib/libtorch.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'voxpod-libtorch-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function put(path: string, content = ''): string {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
  return join(folder, path);
}

/** What `voxpod setup` leaves behind, with empty libraries. */
function install(name: string, libraries: string[], headers = false): string {
  const root = `cache/libtorch/${name}`;
  for (const library of libraries) put(`${root}/lib/${library}`);
  if (headers) put(`${root}/include/ATen/ATen.h`);
  const files = libraries.map((library) => ({ path: `lib/${library}`, size: 0, sha256: '' }));
  put(`${root}/${MANIFEST_NAME}`, JSON.stringify({ version: name, headers, files }));
  return join(folder, root);
}

const CPU = ['libc10.so', 'libtorch_cpu.so', 'libgomp.so.1', 'libcudart.so.13', 'libcupti.so.13'];
const CUDA = [...CPU, 'libc10_cuda.so', 'libtorch_cuda.so', 'libtorch.so'];

function find(env: NodeJS.ProcessEnv = {}, driver = false, headers = false) {
  return findLibtorch({ env: { VOXPOD_CACHE: join(folder, 'cache'), ...env }, driver, headers });
}

describe('LIBTORCH', () => {
  it('is taken where it holds libtorch_cpu.so, whatever the cache has', () => {
    install('2.11.0+cpu', CPU);
    put('zip/lib/libtorch_cpu.so');
    put('zip/build-version', '2.11.0+cpu\n');
    const { libtorch } = find({ LIBTORCH: join(folder, 'zip') });
    assert.equal(libtorch?.source, 'LIBTORCH');
    assert.equal(libtorch.directory, join(folder, 'zip'));
    assert.equal(libtorch.version, '2.11.0+cpu');
  });

  for (const [name, prepare, reason] of [
    ['a missing folder', () => undefined, /no such folder/],
    ['a folder without libtorch', () => put('zip/README'), /no lib\/libtorch_cpu\.so/],
    [
      'another version',
      () => {
        put('zip/lib/libtorch_cpu.so');
        put('zip/build-version', '2.14.1+cpu');
      },
      /torch 2\.14\.1\+cpu, and voxpod needs 2\.11\.0/,
    ],
    [
      'another version of a wheel',
      () => {
        put('zip/lib/libtorch_cpu.so');
        put('zip/version.py', "__version__ = '2.1.0+cu118'\n");
      },
      /torch 2\.1\.0/,
    ],
  ] as [string, () => unknown, RegExp][]) {
    it(`fails for ${name} and does not fall through`, () => {
      prepare();
      install('2.11.0+cpu', CPU);
      const { libtorch, rejected } = find({ LIBTORCH: join(folder, 'zip') });
      assert.equal(libtorch, null);
      assert.equal(rejected.length, 1);
      assert.match(rejected[0]!.reason, reason);
      const error = libtorchNotFound(rejected);
      assert.equal(error.code, 'LIBTORCH_NOT_FOUND');
      assert.match(error.message, /LIBTORCH is set, so nothing else was tried/);
    });
  }
});

describe('the cache', () => {
  it('is named with the reason and the fix where nothing is installed', () => {
    const { libtorch, rejected } = find();
    assert.equal(libtorch, null);
    assert.deepEqual(
      rejected.map(({ path, reason }) => [basename(path), reason]),
      [
        ['2.11.0+cpu', 'not installed'],
        ['2.11.0+cu130', 'not installed'],
      ],
    );
    assert.match(libtorchNotFound(rejected).message, /npx voxpod setup.*LIBTORCH/s);
  });

  it('is not believed where a library is cut short or the manifest is missing', () => {
    const cpu = install('2.11.0+cpu', CPU);
    writeFileSync(join(cpu, 'lib/libc10.so'), 'x');
    rmSync(join(install('2.11.0+cu130', CUDA), MANIFEST_NAME));
    const { libtorch, rejected } = find();
    assert.equal(libtorch, null);
    assert.match(rejected[0]!.reason, /damaged.*libc10\.so has 1 bytes instead of 0/);
    assert.match(rejected[1]!.reason, /damaged/);
  });

  it('gives the CUDA build to a machine with a driver and the CPU build to others', () => {
    const cpu = install('2.11.0+cpu', CPU);
    const cuda = install('2.11.0+cu130', CUDA);
    assert.equal(find({}, false).libtorch?.directory, cpu);
    assert.equal(find({}, true).libtorch?.directory, cuda);
  });

  it('is passed over for a build where it has no headers', () => {
    install('2.11.0+cpu', CPU);
    const cuda = install('2.11.0+cu130', CUDA, true);
    const { libtorch, rejected } = find({}, false, true);
    assert.equal(libtorch?.directory, cuda);
    assert.match(rejected[0]!.reason, /no headers/);
  });
});

describe('the order of loading', () => {
  const names = (paths: string[] | undefined) => paths?.map((path) => basename(path));
  const cpuOrder = [
    'libcudart.so.13',
    'libcupti.so.13',
    'libgomp.so.1',
    'libc10.so',
    'libtorch_cpu.so',
  ];

  it('puts what is needed first, and CUDA behind it', () => {
    install('2.11.0+cu130', CUDA);
    assert.deepEqual(names(find({}, true).libtorch?.libraries), [
      ...cpuOrder,
      'libc10_cuda.so',
      'libtorch_cuda.so',
      'libtorch.so',
    ]);
  });

  it('leaves CUDA and libtorch.so, which names it, alone without a driver', () => {
    install('2.11.0+cu130', CUDA);
    const { libtorch } = find({}, false);
    assert.deepEqual(names(libtorch?.libraries), cpuOrder);
    assert.equal(libtorch?.hasCuda, true);
  });
});

describe("Python's torch", () => {
  it('is found with the libraries of its sibling packages, only where it is asked for', () => {
    put('site/torch/__init__.py', 'raise RuntimeError("not to be imported")');
    put('site/torch/version.py', "__version__ = '2.11.0+cu130'\n");
    put('site/torch/lib/libtorch_cpu.so');
    put('site/torch/lib/libc10.so');
    const cudart = put('site/nvidia/cu13/lib/libcudart.so.13');
    const env = { ...process.env, LIBTORCH: '', PYTHONPATH: join(folder, 'site') };
    assert.equal(find(env).libtorch, null);
    const { libtorch } = find({ ...env, LIBTORCH_USE_PYTORCH: '1' });
    assert.equal(libtorch?.source, 'python');
    assert.equal(libtorch.version, '2.11.0+cu130');
    assert.equal(libtorch.libraries[0], cudart);
  });

  it('is named with the reason where there is no such Python', () => {
    const { rejected } = find({ LIBTORCH_USE_PYTORCH: '1', VOXPOD_PYTHON: '/no/such/python' });
    assert.match(rejected.at(-1)!.reason, /\/no\/such\/python cannot be run/);
  });
});
