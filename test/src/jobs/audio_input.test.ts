import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { isPublicAddress } from '../../../src/jobs/address_guard.js';
import { decodeBase64, fetchAudio, type AudioInputOptions } from '../../../src/jobs/audio_input.js';

const BYTES = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 251));
const never = new AbortController().signal;

const ROUTES: Record<string, RequestListener> = {
  '/file': (_request, response) => response.end(BYTES),
  '/chunked': (_request, response) => {
    response.write(BYTES.subarray(0, 50_000));
    setTimeout(() => response.end(BYTES.subarray(50_000)), 20);
  },
  '/hang': () => undefined,
  '/stall': (_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length });
    response.write(BYTES.subarray(0, 10));
  },
  '/drip': (_request, response) => {
    const timer = setInterval(() => response.write('x'), 30);
    response.on('close', () => clearInterval(timer));
  },
  '/cut': (_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length });
    response.write(BYTES.subarray(0, 10), () => response.destroy());
  },
  '/redirect': (_request, response) => response.writeHead(302, { location: '/file' }).end(),
  '/loop': (_request, response) => response.writeHead(302, { location: '/loop' }).end(),
  '/to-file-scheme': (_request, response) =>
    response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  '/gzip': (_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(BYTES),
};

async function withServer(run: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    const route = ROUTES[new URL(request.url ?? '/', 'http://h').pathname];
    if (route) route(request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  try {
    await run(`http://127.0.0.1:${address.port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const local = (limits: AudioInputOptions['limits'] = {}): AudioInputOptions => ({
  allowPrivateUrls: true,
  limits,
});

test('a URL is fetched, in one piece or in chunks or after a redirect', async () => {
  await withServer(async (url) => {
    for (const path of ['/file', '/chunked', '/redirect']) {
      const audio = await fetchAudio({ audio: url + path }, local(), never);
      assert.deepEqual(audio.source, BYTES);
      await audio.dispose();
    }
  });
});

test('what is too large for memory goes to a temporary file that is removed', async () => {
  await withServer(async (url) => {
    const limits = { maxMemoryBytes: 1000 };
    const audio = await fetchAudio({ audio: `${url}/chunked` }, local(limits), never);
    assert.ok(typeof audio.source === 'string');
    assert.deepEqual(readFileSync(audio.source), BYTES);
    await audio.dispose();
    assert.equal(existsSync(audio.source), false);
  });
});

test('each way a download fails has its code and says why', async () => {
  const rows: [string, AudioInputOptions['limits'], string, RegExp][] = [
    ['/none?token=hidden', {}, 'DOWNLOAD_FAILED', /\/none answered with HTTP 404/],
    ['/hang', { stallMs: 100 }, 'DOWNLOAD_TIMEOUT', /sent nothing for 0.1 s/],
    ['/stall', { stallMs: 100 }, 'DOWNLOAD_TIMEOUT', /sent nothing/],
    ['/drip', { stallMs: 1000, totalMs: 200 }, 'DOWNLOAD_TIMEOUT', /longer than 0.2 s/],
    ['/cut', {}, 'DOWNLOAD_FAILED', /could not be read/],
    ['/file', { maxBytes: 99_999 }, 'DOWNLOAD_TOO_LARGE', /99999 bytes/],
    ['/chunked', { maxBytes: 99_999, maxMemoryBytes: 10 }, 'DOWNLOAD_TOO_LARGE', /99999 bytes/],
    ['/loop', {}, 'DOWNLOAD_FAILED', /redirected more than 5 times/],
    ['/to-file-scheme', {}, 'URL_FORBIDDEN', /file:/],
    ['/gzip', {}, 'DOWNLOAD_FAILED', /gzip/],
  ];
  await withServer(async (url) => {
    for (const [path, limits, code, message] of rows) {
      await assert.rejects(fetchAudio({ audio: url + path }, local(limits), never), (error) => {
        assert.ok(error instanceof Error && 'code' in error);
        assert.equal(error.code, code, `${path}: ${error.message}`);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /hidden/);
        return true;
      });
    }
  });
});

test('an abort ends the download with its reason', async () => {
  await withServer(async (url) => {
    const controller = new AbortController();
    const fetching = fetchAudio({ audio: `${url}/hang` }, local(), controller.signal);
    setTimeout(() => controller.abort(new Error('stopped')), 50);
    await assert.rejects(fetching, /stopped/);
  });
});

test('private addresses are refused, however they are written', async () => {
  const hosts = [
    '127.0.0.1',
    '127.1',
    '0x7f000001',
    '2130706433',
    'localhost',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.3.4',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:a00:1]',
    '[::127.0.0.1]',
    '[fe80::1]',
    '[fd00::1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[ff02::1]',
  ];
  for (const host of hosts) {
    await assert.rejects(
      fetchAudio({ audio: `http://${host}:9/a.wav` }, { allowPrivateUrls: false }, never),
      { code: 'URL_FORBIDDEN' },
      host,
    );
  }
  assert.ok(isPublicAddress('8.8.8.8') && isPublicAddress('2606:4700::1111'));
  assert.ok(!isPublicAddress('nonsense') && !isPublicAddress('240.0.0.1'));
});

test('only whole http and https URLs without a password are taken', async () => {
  for (const audio of [
    'file:///etc/passwd',
    '/etc/passwd',
    'a.wav',
    'ftp://h/a',
    'data:audio/wav;base64,AAAA',
    'http://user:word@example.com/a.wav',
  ]) {
    await assert.rejects(
      fetchAudio({ audio }, { allowPrivateUrls: true }, never),
      { code: 'URL_FORBIDDEN' },
      audio,
    );
  }
});

test('base64 is decoded, with line breaks or without', async () => {
  const text = BYTES.toString('base64');
  const broken = text.replace(/.{76}/g, '$&\r\n');
  assert.deepEqual(decodeBase64(text), BYTES);
  assert.deepEqual(decodeBase64(broken), BYTES);
  const audio = await fetchAudio({ audio_base64: text }, local(), never);
  assert.deepEqual(audio.source, BYTES);
});

test('what is not base64 is refused', () => {
  for (const text of ['!!!!', 'abc', 'ab=c', 'data:audio/wav;base64,AAAA', 'AA-_', '====', ' ']) {
    assert.throws(() => decodeBase64(text), { code: 'JOB_INVALID' }, text);
  }
  const large = 'A'.repeat(96 * 1024 * 1024);
  assert.throws(() => decodeBase64(large), { code: 'JOB_INVALID', message: /67108864 bytes/ });
});

test('exactly one source is wanted', async () => {
  const both = { audio: 'https://h/a.wav', audio_base64: 'AAAA' };
  await assert.rejects(fetchAudio(both, local(), never), {
    message: 'Must provide either audio or audio_base64, not both',
  });
  for (const input of [{}, { audio: null, audio_base64: null }, { audio: '' }]) {
    await assert.rejects(fetchAudio(input, local(), never), { code: 'JOB_INVALID' });
  }
});
