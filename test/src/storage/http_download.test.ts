import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { downloadFile, type DownloadOptions } from '../../../src/storage/http_download.js';
import { gitSha1, LocalHub } from './local_hub.js';
import { temporaryFolder } from './temporary.js';

const COMMIT = 'c'.repeat(40);

interface Fixture {
  hub: LocalHub;
  bytes: Buffer;
  options: DownloadOptions;
}

async function fixture(t: TestContext, size = 300_000): Promise<Fixture> {
  const hub = new LocalHub();
  const endpoint = await hub.listen();
  t.after(() => hub.close());
  const bytes = randomBytes(size);
  hub.repositories.set('a/b', { commit: COMMIT, files: new Map([['f', bytes]]) });
  const hex = createHash('sha256').update(bytes).digest('hex');
  const options: DownloadOptions = {
    url: `${endpoint}/a/b/resolve/${COMMIT}/f`,
    destination: join(await temporaryFolder(t), 'f'),
    size,
    digest: { algorithm: 'sha256', hex },
    pauseMs: 5,
  };
  return { hub, bytes, options };
}

test('a file arrives whole, with its progress', async (t) => {
  const { options, bytes } = await fixture(t);
  const seen: number[] = [];
  await downloadFile({ ...options, onProgress: (n) => seen.push(n) });
  assert.deepEqual(await readFile(options.destination), bytes);
  assert.equal(seen.at(-1), bytes.length);
});

test('an empty file and a git digest', async (t) => {
  const { options } = await fixture(t, 0);
  const hex = gitSha1(Buffer.alloc(0));
  await downloadFile({ ...options, digest: { algorithm: 'git-sha1', hex } });
  assert.equal((await stat(options.destination)).size, 0);
});

test('what is there already is not fetched again', async (t) => {
  const { hub, options, bytes } = await fixture(t);
  await writeFile(options.destination, bytes.subarray(0, 123_456));
  await downloadFile(options);
  assert.deepEqual(await readFile(options.destination), bytes);
  assert.deepEqual(hub.transfers(), [`GET /a/b/resolve/${COMMIT}/f bytes=123456-`]);
});

test('a dropped connection is resumed where it broke', async (t) => {
  const { hub, options, bytes } = await fixture(t);
  let drops = 0;
  hub.intercept = (request, response) => {
    if (drops >= 2) return false;
    drops += 1;
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': bytes.length - from,
      'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
    });
    response.write(bytes.subarray(from, from + 100_000));
    setTimeout(() => response.destroy(), 30);
    return true;
  };
  await downloadFile(options);
  assert.deepEqual(await readFile(options.destination), bytes);
  assert.deepEqual(
    hub.transfers().map((line) => line.split(' ')[2]),
    [undefined, 'bytes=100000-', 'bytes=200000-'],
  );
});

test('a server that ignores the range starts the file anew', async (t) => {
  const { hub, options, bytes } = await fixture(t);
  await writeFile(options.destination, bytes.subarray(0, 1000));
  hub.intercept = (_request, response) => {
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    return true;
  };
  await downloadFile(options);
  assert.deepEqual(await readFile(options.destination), bytes);
});

test('a wrong beginning is found by the checksum and fetched again', async (t) => {
  const { hub, options, bytes } = await fixture(t);
  await writeFile(options.destination, randomBytes(5000));
  await downloadFile(options);
  assert.deepEqual(await readFile(options.destination), bytes);
  assert.equal(hub.transfers().length, 2);
});

test('a wrong file is refused after a second try and not left behind', async (t) => {
  const { hub, options } = await fixture(t);
  hub.intercept = (_request, response) => {
    response.writeHead(200).end(randomBytes(options.size));
    return true;
  };
  await assert.rejects(downloadFile(options), { code: 'CHECKSUM_MISMATCH' });
  assert.equal(hub.transfers().length, 2);
  await assert.rejects(stat(options.destination), { code: 'ENOENT' });
});

test('a server that sends more than it should is cut off', async (t) => {
  const { hub, options } = await fixture(t);
  hub.intercept = (_request, response) => {
    response.writeHead(200).end(randomBytes(options.size + 1));
    return true;
  };
  await assert.rejects(downloadFile(options), { code: 'CHECKSUM_MISMATCH' });
  await assert.rejects(stat(options.destination), { code: 'ENOENT' });
});

test('a busy server is asked again, a refusing one is not', async (t) => {
  const { hub, options, bytes } = await fixture(t);
  const statuses = [503, 429, 500];
  hub.intercept = (_request, response) => {
    const status = statuses.shift();
    if (status === undefined) return false;
    response.writeHead(status, { 'retry-after': '0' }).end();
    return true;
  };
  await downloadFile(options);
  assert.deepEqual(await readFile(options.destination), bytes);
  assert.equal(hub.transfers().length, 4);

  statuses.push(403, 403);
  await writeFile(options.destination, '');
  await assert.rejects(downloadFile(options), /HTTP status 403/);
  assert.equal(hub.transfers().length, 5);
});

test('a stalled connection is given up and resumed', async (t) => {
  const { hub, options, bytes } = await fixture(t);
  let stalled = false;
  hub.intercept = (_request, response) => {
    if (stalled) return false;
    stalled = true;
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, 50_000));
    return true;
  };
  const started = performance.now();
  await downloadFile({ ...options, stallMs: 200 });
  assert.ok(performance.now() - started < 5000);
  assert.deepEqual(await readFile(options.destination), bytes);
  assert.match(hub.transfers()[1] ?? '', /bytes=50000-/);
});

test('an abort ends it at once and keeps what came', async (t) => {
  const { hub, options } = await fixture(t);
  hub.bytesPerSecond = 200_000;
  const controller = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    downloadFile({
      ...options,
      signal: controller.signal,
      onProgress: (n) => {
        if (n > 50_000) controller.abort(reason);
      },
    }),
    reason,
  );
  const { size } = await stat(options.destination);
  assert.ok(size > 50_000 && size < options.size, `${size} bytes`);
});

test('an address nobody answers at is named', async (t) => {
  const { hub, options } = await fixture(t);
  await hub.close();
  await assert.rejects(downloadFile({ ...options, attempts: 2 }), {
    code: 'DOWNLOAD_FAILED',
    message: /ECONNREFUSED/,
  });
});
