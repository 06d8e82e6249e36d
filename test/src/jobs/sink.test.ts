import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { Sink } from '../../../src/jobs/sink.js';

test('small things stay in memory, larger ones go to a file that is deleted', async () => {
  const small = new Sink(10);
  await small.write(Buffer.from('12345'));
  const kept = await small.end();
  assert.deepEqual(kept.source, Buffer.from('12345'));
  const large = new Sink(10, NaN);
  for (const part of ['12345', '67890', 'abc']) await large.write(Buffer.from(part));
  const { source, bytes, dispose } = await large.end();
  assert.ok(typeof source === 'string');
  assert.equal(await readFile(source, 'utf8'), '1234567890abc');
  assert.equal(bytes, 13);
  assert.equal((await stat(source)).mode & 0o077, 0);
  await dispose();
  await assert.rejects(stat(source), { code: 'ENOENT' });
});

test('what the disk has no room for is refused before it is written', async () => {
  const sink = new Sink(10, 1e18);
  await assert.rejects(sink.write(Buffer.alloc(11)), {
    code: 'DISK_FULL',
    message: /The job's audio needs .*VOXPOD_SCRATCH/,
  });
  await sink.discard();
});
