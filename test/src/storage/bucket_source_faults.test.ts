/** Downloads from a bucket whose server does all that servers do. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RangeFault, RangeServer } from './range_server.js';
import {
  assertWhole,
  contents,
  failsWith,
  madeBytes,
  onRanges,
  PART,
  prepare,
  sourceOf,
  WEIGHTS,
  WEIGHTS_BYTES,
} from './stored_model.js';

test('503 and then 200: nothing is lost', async (t) => {
  const { server, bucket, target } = await prepare(t);
  const busy: RangeFault = { status: 503, code: 'SlowDown' };
  onRanges(server, busy, busy, busy);
  await sourceOf(bucket).fetch(target);
  await assertWhole(target);
  assert.equal(server.ranges().length, 4 + 3);
});

test('503 for good: the server is named, and what came stays as a beginning', async (t) => {
  const { server, bucket, target } = await prepare(t);
  server.fault = ({ range }) =>
    range && range.from >= PART ? { status: 503, code: 'SlowDown' } : undefined;
  // Only the first part comes, so it is kept if it comes before the failure ends all.
  await assert.rejects(
    sourceOf(bucket).fetch(target),
    failsWith('BUCKET_FAILED', /answered with HTTP 503 2 times/),
  );
  assert.ok(!(await contents(target))[`${WEIGHTS}.parts`]);
  server.fault = () => undefined;
  await sourceOf(bucket).fetch(target);
  await assertWhole(target);
});

test('a part that stalls is given up and fetched again', async (t) => {
  const { server, bucket, target } = await prepare(t);
  onRanges(server, undefined, { after: 100_000, then: 'stall' });
  const { fetch, lines } = sourceOf(bucket, { stallMs: 300 });
  await fetch(target);
  await assertWhole(target);
  assert.match(lines.join(), /sent nothing for 0\.3 s/);
});

test('a server that stalls for ever is named', async (t) => {
  const { server, bucket, target } = await prepare(t);
  server.fault = ({ range }) => (range ? { after: 10, then: 'stall' } : undefined);
  await assert.rejects(
    sourceOf(bucket, { stallMs: 100, attempts: 2 }).fetch(target),
    failsWith(
      'DOWNLOAD_TIMEOUT',
      /http:\/\/127\.0\.0\.1:\d+\/models\/pods\/\S+ sent nothing for 0\.1 s/,
    ),
  );
});

test('answers that break off, by a reset or by a polite end, are fetched again', async (t) => {
  const { server, bucket, target } = await prepare(t);
  onRanges(
    server,
    { after: 3_000_000, then: 'cut' },
    { after: 0, then: 'cut' },
    { after: 5_000_001, then: 'close' },
  );
  await sourceOf(bucket).fetch(target);
  await assertWhole(target);
});

test('a wrong byte is found in its part, and only that part is fetched again', async (t) => {
  const { server, bucket, target } = await prepare(t);
  onRanges(server, undefined, { flip: 4_000_000 });
  const { fetch, lines } = sourceOf(bucket);
  await fetch(target);
  await assertWhole(target);
  assert.equal(server.ranges().length, 4 + 1);
  assert.match(lines.join(), /model\.safetensors at byte \d+ does not have its checksum/);
});

test('an object that is damaged for good is not taken, whatever it is called', async (t) => {
  const { server, bucket, target } = await prepare(t);
  server.fault = ({ key, range }) =>
    key.includes(WEIGHTS) && range?.from === PART ? { flip: 4_000_000 } : undefined;
  await assert.rejects(
    sourceOf(bucket).fetch(target),
    failsWith('CHECKSUM_MISMATCH', /at byte 8388608 does not have its checksum/),
  );
  assert.notEqual((await stat(join(target, WEIGHTS)).catch(() => undefined))?.size, WEIGHTS_BYTES);
});

/** Replaces the object by another of the same size when its second range is asked for. */
function replaceInTheMiddle(server: RangeServer, times: number, bytes: Buffer): void {
  let asked = 0;
  server.fault = ({ key, range }) => {
    if (key.includes(WEIGHTS) && range && (asked += 1) > 1 && asked - 1 <= times) {
      server.put(key, bytes, `"state-${asked}"`);
    }
    return undefined;
  };
}

test('an object replaced by the same bytes during the download is begun again, once', async (t) => {
  const { server, bucket, target } = await prepare(t);
  replaceInTheMiddle(server, 1, madeBytes(WEIGHTS_BYTES));
  const { fetch, lines } = sourceOf(bucket);
  await fetch(target);
  await assertWhole(target);
  assert.match(lines.join(), /was changed while it was downloaded; starting again/);
});

test('an object that changes again and again says so', async (t) => {
  const { server, bucket, target } = await prepare(t);
  replaceInTheMiddle(server, Infinity, madeBytes(WEIGHTS_BYTES));
  await assert.rejects(
    sourceOf(bucket).fetch(target),
    failsWith('DOWNLOAD_FAILED', /models\/pods\/models\/\S+ was changed while it was downloaded/),
  );
});

test('an object replaced by other bytes is not mixed with the first', async (t) => {
  const { server, bucket, target } = await prepare(t);
  replaceInTheMiddle(server, 1, madeBytes(WEIGHTS_BYTES, 2));
  await assert.rejects(
    sourceOf(bucket, { attempts: 2 }).fetch(target),
    failsWith('CHECKSUM_MISMATCH', /does not have its checksum/),
  );
});

test('an object that is gone or shorter than its manifest says so', async (t) => {
  const { server, bucket, target } = await prepare(t);
  const key = [...server.objects.keys()].find((name) => name.includes(WEIGHTS)) ?? '';
  server.put(key, madeBytes(1000));
  await assert.rejects(
    sourceOf(bucket).fetch(target),
    failsWith('DOWNLOAD_FAILED', /has 1000 bytes instead of 16789561, but a manifest names it/),
  );
  server.objects.delete(key);
  await assert.rejects(
    sourceOf(bucket).fetch(target),
    failsWith('DOWNLOAD_FAILED', /is gone, but a manifest names it/),
  );
});
