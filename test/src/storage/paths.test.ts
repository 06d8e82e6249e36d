import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder, makeFolderSync } from '../../../src/storage/paths.js';
import { temporaryFolder } from '../storage/temporary.js';

test('folders are made with those above them, however many make them at once', async (t) => {
  const root = await temporaryFolder(t);
  const deep = join(root, 'a', 'b', 'c');
  await Promise.all(Array.from({ length: 8 }, () => makeFolder(deep)));
  assert.ok(statSync(deep).isDirectory());
  makeFolderSync(join(root, 'd', 'e'));
  makeFolderSync(join(root, 'd', 'e'));
  assert.ok(statSync(join(root, 'd', 'e')).isDirectory());
});

test(
  'where there can be none the error comes at once, and not never',
  { timeout: 10_000 },
  async (t) => {
    const root = await temporaryFolder(t);
    writeFileSync(join(root, 'file'), '');
    for (const place of [join(root, 'file', 'x'), '/proc/voxpod/x']) {
      await assert.rejects(makeFolder(place));
      assert.throws(() => makeFolderSync(place));
    }
  },
);
