import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { freeBytes, requireSpace } from '../../../src/storage/disk.js';
import {
  publishFile,
  publishFolder,
  removeFolder,
  removeLeftovers,
} from '../../../src/storage/publish.js';
import { temporaryFolder } from './temporary.js';

test('a folder is published once; the second finds it there', async (t) => {
  const root = await temporaryFolder(t);
  for (const name of ['a', 'b']) {
    await mkdir(join(root, name));
    await writeFile(join(root, name, 'file'), name);
  }
  const place = join(root, 'deep', 'place');
  assert.equal(await publishFolder(join(root, 'a'), place), true);
  assert.equal(await publishFolder(join(root, 'b'), place), false);
  assert.equal(await readFile(join(place, 'file'), 'utf8'), 'a');
});

test('a file is replaced, with nothing left beside it', async (t) => {
  const root = await temporaryFolder(t);
  await publishFile(join(root, 'f'), 'one');
  await publishFile(join(root, 'f'), 'two');
  assert.equal(await readFile(join(root, 'f'), 'utf8'), 'two');
  assert.deepEqual(await readdir(root), ['f']);
});

test('leftovers go when they are old or space is short, other things stay', async (t) => {
  const root = await temporaryFolder(t);
  for (const name of ['.incomplete-x', '.trash-x', 'models--a--b']) {
    await mkdir(join(root, name));
    await writeFile(join(root, name, 'file'), 'x');
  }
  await removeLeftovers(root, 60_000);
  assert.deepEqual((await readdir(root)).sort(), ['.incomplete-x', 'models--a--b']);
  const yesterday = new Date(Date.now() - 25 * 3600_000);
  await utimes(join(root, '.incomplete-x'), yesterday, yesterday);
  await removeLeftovers(root, 24 * 3600_000);
  assert.deepEqual(await readdir(root), ['models--a--b']);
  await removeFolder(join(root, 'models--a--b'));
  await removeFolder(join(root, 'models--a--b'));
  assert.deepEqual(await readdir(root), []);
});

test('free space is known before anything exists, and asked for', async (t) => {
  const root = await temporaryFolder(t);
  const path = join(root, 'not', 'yet');
  assert.ok((await freeBytes(path)) > 0);
  await requireSpace(path, 1, 'A byte');
  await assert.rejects(requireSpace(path, 1e18, 'A planet'), {
    code: 'DISK_FULL',
    message: /A planet needs 1000000\.0 TB .* VOXPOD_CACHE/,
  });
});
