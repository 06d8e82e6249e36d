/** libtorch from a bucket: small files under its names, put there from an installation made here. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { VoxpodError } from '../../../lib/errors.js';
import { installedLibtorch, type LibtorchManifest } from '../../../lib/libtorch.js';
import { libtorchUpload } from '../../../src/setup/bucket.js';
import { ensureLibtorch } from '../../../src/setup/ensure.js';
import { installLibtorch } from '../../../src/setup/libtorch.js';
import { uploadArtifact } from '../../../src/storage/bucket_upload.js';
import { ModelSync } from '../../../src/storage/model_sync.js';
import { madeBytes, openBucket, sha256, startRangeServer } from '../storage/stored_model.js';
import { temporaryFolder } from '../storage/temporary.js';

const NO_PYTHON = '/no/such/python3';
const PART = 8 * 2 ** 20;
const FILES: Record<string, Buffer> = {
  'lib/libc10.so': madeBytes(1000),
  'lib/libtorch_cpu.so': madeBytes(4 * PART),
  'lib/libgomp.so.1': madeBytes(1000),
  'lib/libcudart.so.13': madeBytes(100, 3),
};

function makeInstalled(cache: string): string {
  const directory = installedLibtorch(cache, false);
  mkdirSync(join(directory, 'lib'), { recursive: true });
  const files = Object.entries(FILES).map(([path, bytes]) => {
    writeFileSync(join(directory, path), bytes);
    return { path, size: bytes.length, sha256: sha256(bytes) };
  });
  const manifest: LibtorchManifest = { version: '2.11.0+cpu', headers: true, files };
  writeFileSync(join(directory, 'voxpod.json'), JSON.stringify(manifest));
  return directory;
}

/** A bucket with libtorch in it, and an empty cache. */
async function prepare(t: TestContext) {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings('models', 'pods'), { attempts: 1 });
  const directory = makeInstalled(join(await temporaryFolder(t), 'full'));
  const { signal } = new AbortController();
  await uploadArtifact(bucket, await libtorchUpload(bucket, directory), { signal });
  server.requests.length = 0;
  return { server, bucket, cache: join(await temporaryFolder(t), 'cache') };
}

test('libtorch comes from the bucket, checked, with no Python at all', async (t) => {
  const { server, bucket, cache } = await prepare(t);
  const result = await installLibtorch({ cache, bucket, python: NO_PYTHON });
  assert.deepEqual(result, {
    ...{ directory: installedLibtorch(cache, false), version: '2.11.0+cpu' },
    ...{ installed: true, source: 'bucket' },
  });
  for (const [path, bytes] of Object.entries(FILES)) {
    assert.ok(readFileSync(join(result.directory, path)).equals(bytes), path);
  }
  assert.deepEqual(readdirSync(join(cache, 'libtorch')), ['2.11.0+cpu']);
  assert.match(
    server.requests[0] ?? '',
    /^GET models\/pods\/libtorch\/2\.11\.0-cpu\/manifest\.json$/,
  );
  const again = await installLibtorch({ cache, bucket, python: NO_PYTHON });
  assert.equal(again.source, 'cache');
});

test('a worker without libtorch gets it, and does without where it may not', async (t) => {
  const { bucket, cache } = await prepare(t);
  const env = { VOXPOD_CACHE: cache };
  await assert.rejects(
    ensureLibtorch({ env: { ...env, VOXPOD_OFFLINE: '1' }, cuda: false, bucket }),
    { code: 'LIBTORCH_NOT_FOUND' },
  );
  const wrong = { ...env, LIBTORCH: '/no/libtorch' };
  await assert.rejects(ensureLibtorch({ env: wrong, cuda: false, bucket }), {
    code: 'LIBTORCH_NOT_FOUND',
  });
  assert.equal(existsSync(cache), false);
  const lines: string[] = [];
  const log = {
    info: (line: string) => lines.push(line),
    warn: (line: string) => lines.push(line),
  };
  const found = await ensureLibtorch({ env, cuda: false, bucket, log, python: NO_PYTHON });
  assert.equal(found.directory, installedLibtorch(cache, false));
  assert.equal(found.version, '2.11.0+cpu');
  assert.match(lines.join(), /^libtorch 2\.11\.0\+cpu: from the bucket models at \S+ in [\d.]+ s$/);
  // A second worker beside it takes that one.
  const other = await ensureLibtorch({
    ...{ env: { VOXPOD_CACHE: `${cache}-none` }, cuda: false, python: NO_PYTHON },
    roots: [`${cache}-none`, cache],
  });
  assert.equal(other.directory, found.directory);
});

test('an installation is stored once, whole, and read again', async (t) => {
  const server = await startRangeServer(t);
  const bucket = openBucket(t, server.settings());
  const directory = makeInstalled(await temporaryFolder(t));
  const sync = new ModelSync(bucket, { settleMs: 50 });
  for (let times = 0; times < 2; times++) {
    sync.addArtifact('libtorch', () => libtorchUpload(bucket, directory));
  }
  await sync.done();
  const puts = server.requests.filter((line) => /^PUT .*\/blobs\//.test(line));
  // Two names of the same bytes are one object; the large one has four parts.
  assert.equal(puts.length, 2 + 4);
  const cache = await temporaryFolder(t);
  assert.equal((await installLibtorch({ cache, bucket, python: NO_PYTHON })).source, 'bucket');
});

test('what is damaged in the bucket is not installed: the package index is asked', async (t) => {
  const { server, bucket, cache } = await prepare(t);
  server.fault = ({ range }) => (range?.from === PART ? { flip: 100 } : undefined);
  const lines: string[] = [];
  const installing = installLibtorch({
    ...{ cache, bucket, python: NO_PYTHON },
    log: (line) => lines.push(line),
  });
  await assert.rejects(installing, (error: unknown) => {
    assert.ok(error instanceof VoxpodError);
    assert.equal(error.code, 'SETUP_FAILED');
    assert.match(error.message, /\/no\/such\/python3 is not installed/);
    return true;
  });
  assert.match(lines.join(), /libtorch_cpu\.so at byte 8388608 does not have its checksum/);
  assert.deepEqual(readdirSync(join(cache, 'libtorch')), []);
});

test('a manifest with a path out of lib/, or of another release, is refused', async (t) => {
  const { server, bucket, cache } = await prepare(t);
  const key = [...server.objects.keys()].find((name) => name.endsWith('manifest.json')) ?? '';
  const text = server.text(key) ?? '';
  for (const [from, to] of [
    ['lib/libgomp.so.1', 'voxpod.json'],
    ['lib/libgomp.so.1', 'lib/../../x'],
    ['"2.11.0+cpu"', '"2.10.0+cpu"'],
  ]) {
    server.put(key, Buffer.from(text.replace(from ?? '', to ?? '')));
    const lines: string[] = [];
    await assert.rejects(
      installLibtorch({
        ...{ cache, bucket, python: NO_PYTHON },
        log: (line) => lines.push(line),
      }),
      { code: 'SETUP_FAILED' },
    );
    assert.match(lines.join(), /is no manifest that voxpod wrote/, to);
  }
});

test('an installation killed with -9 goes on with what it had', async (t) => {
  const { server, cache } = await prepare(t);
  server.fault = ({ range }) =>
    range && range.from >= 2 * PART ? { after: 10, then: 'stall' } : undefined;
  const start = () => {
    const from = (path: string): string =>
      JSON.stringify(new URL(`../../../src/${path}.js`, import.meta.url).href);
    const script = `
      import { installLibtorch } from ${from('setup/libtorch')};
      import { Bucket } from ${from('storage/bucket')};
      const bucket = new Bucket(${JSON.stringify(server.settings('models', 'pods'))});
      const { source } = await installLibtorch({
        cache: ${JSON.stringify(cache)}, bucket, python: ${JSON.stringify(NO_PYTHON)},
        onProgress: ({ bytes }) => console.log(bytes),
      });
      console.log(source);
      await bucket.dispose();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    let last = '';
    child.stdout.on('data', (data: Buffer) => {
      last = data.toString().trim().split('\n').at(-1) ?? '';
    });
    t.after(() => child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.on('close', resolve));
    return { child, ended, last: () => last };
  };
  const first = start();
  while (Number(first.last()) < 2 * PART && first.child.exitCode === null) await sleep(5);
  first.child.kill('SIGKILL');
  await first.ended;
  server.fault = () => undefined;
  server.sent = 0;
  const second = start();
  await second.ended;
  assert.equal(second.last(), 'bucket');
  assert.ok(server.sent < 3 * PART + 10_000, `${server.sent} bytes the second time`);
  const path = 'lib/libtorch_cpu.so';
  const installed = readFileSync(join(installedLibtorch(cache, false), path));
  assert.equal(sha256(installed), sha256(FILES[path] ?? Buffer.alloc(0)));
  assert.deepEqual(readdirSync(join(cache, 'libtorch')), ['2.11.0+cpu']);
});
