import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LocalPlatform } from '../../../src/server/platform.js';
import { endpointOf, eventually, startWorker, type StartedWorker } from '../runpod/support.js';
import { temporaryFolder } from '../storage/temporary.js';

const CLI = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const KEY = 'key-of-the-platform';

let platform: LocalPlatform;
let worker: StartedWorker;
let url: string;

before(async () => {
  platform = await LocalPlatform.start({ apiKey: KEY, holdMs: 2000 });
  url = `${platform.baseUrl}/${platform.endpointId}`;
  worker = startWorker(platform, {
    concurrency: 4,
    handler: async (job, { signal, progress }) => {
      const input = job.input as Record<string, unknown>;
      if (typeof input['fail'] === 'string') throw new Error(input['fail']);
      if (Array.isArray(input['chunks'])) {
        const chunks: unknown[] = input['chunks'];
        return (async function* () {
          yield* chunks;
        })();
      }
      if (input['output'] !== undefined) return input['output'];
      if (input['stream'] !== undefined) {
        return (async function* () {
          for (const part of ['one', { two: 2 }]) {
            await delay(20);
            yield part;
          }
        })();
      }
      if (input['sleep'] !== undefined) {
        progress({ position: 1, duration: 2 });
        await delay(Number(input['sleep']), undefined, { signal });
      }
      if (typeof input['audio_base64'] !== 'string') return input;
      const bytes = Buffer.from(input['audio_base64'], 'base64').length;
      return { ...input, audio_base64: null, transcription: `${bytes} bytes` };
    },
  });
});

after(async () => {
  await worker.stop();
  await platform.close();
});

function start(args: string[], env: NodeJS.ProcessEnv) {
  return spawn(process.execPath, [CLI, 'submit', ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function submit(
  ...args: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  return submitWith({ VOXPOD_API_KEY: KEY }, ...args);
}

async function submitWith(env: NodeJS.ProcessEnv, ...args: string[]) {
  const child = start(args, env);
  const [out, err] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code: child.exitCode, out, err };
}

test('an audio file goes as base64 with the options; the transcription comes out', async (context) => {
  const folder = await temporaryFolder(context);
  const audio = join(folder, 'talk.wav');
  await writeFile(audio, Buffer.alloc(1000));
  const plain = await submit(audio, '--url', url);
  assert.deepEqual([plain.code, plain.out], [0, '1000 bytes\n'], plain.err);
  assert.match(plain.err, /-u1: IN_QUEUE\n[^]*-u1: COMPLETED\nWaited .* s, ran .* s\.\n$/);
  const full = await submit(
    ...[audio, '--url', url, '--model', 'base', '--language', 'de', '--format', 'srt'],
    ...['--output', join(folder, 'out.srt')],
  );
  assert.deepEqual([full.code, full.out], [0, ''], full.err);
  assert.equal(await readFile(join(folder, 'out.srt'), 'utf8'), '1000 bytes\n');
  const whole = await submit(audio, '--url', `${url}/`, '-m', 'base', '--translate', '-f', 'json');
  assert.deepEqual(JSON.parse(whole.out), {
    audio_base64: null,
    model: 'base',
    translate: true,
    transcription: '1000 bytes',
  });
});

test('JSON is the input or the request, from a file or the command line', async (context) => {
  const folder = await temporaryFolder(context);
  const file = join(folder, 'job.JSON');
  const echoed = async (...args: string[]): Promise<unknown> => {
    const { code, out, err } = await submit(...args, '--url', url);
    assert.equal(code, 0, err);
    return JSON.parse(out);
  };
  await writeFile(file, '{"input": {"a": 1}, "policy": {"ttl": 60000}}');
  assert.deepEqual(await echoed(file), { a: 1 });
  await writeFile(file, '{"b": 2}');
  assert.deepEqual(await echoed(file, '--language', 'en'), { b: 2, language: 'en' });
  assert.deepEqual(await echoed('{"input": {"c": "ü"}}'), { c: 'ü' });
  assert.deepEqual(await echoed('https://example.com/talk.mp3'), {
    audio: 'https://example.com/talk.mp3',
  });
});

test('chunks are printed as they come, or saved', async (context) => {
  const { code, out, err } = await submit('{"stream": 1}', '--url', url);
  assert.deepEqual([code, out], [0, 'one\n{"two":2}\n'], err);
  const file = join(await temporaryFolder(context), 'out.txt');
  assert.equal((await submit('{"stream": 1}', '--url', url, '-o', file)).out, '');
  assert.equal(await readFile(file, 'utf8'), 'one\n{"two":2}\n');
});

test('a stream that is cut off is a failure, not half an output', async (context) => {
  // An endpoint whose stream breaks after its first chunk, though the job itself completes.
  let streamed = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const answer = (body: unknown): void => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(body));
    };
    if (path.includes('/stream/')) {
      streamed += 1;
      if (streamed > 1) request.socket.destroy();
      else answer({ status: 'IN_PROGRESS', stream: [{ output: 'one' }] });
    } else {
      answer({ id: 'a-job', status: streamed > 1 ? 'COMPLETED' : 'IN_PROGRESS' });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const { code, err } = await submit('{"a": 1}', '--url', `http://127.0.0.1:${port}/v2/e`);
  assert.equal(code, 1, err);
  assert.match(err, /The stream was cut off: .* \(JOB_FAILED\)/);
});

/** A bucket: what is put into it can be fetched from it; anything else has expired. */
async function bucketOf(
  context: TestContext,
  objects: Record<string, string | Uint8Array>,
): Promise<string> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '', 'http://bucket').pathname;
    const body = objects[path];
    if (body === undefined) response.writeHead(403).end('Request has expired');
    else response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const jobOf = (input: object): string => JSON.stringify({ input });

test('a result that went to the bucket is fetched and treated as if it had come', async (context) => {
  const large = { transcription: 'Viele Wörter. '.repeat(100_000).trim(), segments: [] };
  const bucket = await bucketOf(context, {
    '/large.json': JSON.stringify(large),
    '/list.json': '["ü"]',
    '/page.html': '<html>',
  });
  const linked = (path: string): string =>
    jobOf({
      output: {
        ...{ result_url: `${bucket}${path}?X-Amz-Signature=secret`, bytes: 1 },
        ...{ expires_at: '2026-11-30T00:00:00Z' },
      },
    });
  const plain = await submit(linked('/large.json'), '--url', url);
  assert.deepEqual([plain.code, plain.out], [0, `${large.transcription}\n`], plain.err);
  const file = join(await temporaryFolder(context), 'whole.json');
  const json = await submit(linked('/large.json'), '--url', url, '-f', 'json', '-o', file);
  assert.deepEqual([json.code, json.out], [0, ''], json.err);
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), large);
  assert.deepEqual(JSON.parse((await submit(linked('/list.json'), '--url', url)).out), ['ü']);
  for (const [path, problem] of [
    ['/gone.json', /HTTP 403: the link may have expired/],
    ['/page.html', /is no JSON/],
  ] as const) {
    const { code, out, err } = await submit(linked(path), '--url', url);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, problem);
    assert.match(err, new RegExp(`${bucket}${path} .*\\(DOWNLOAD_FAILED\\)`));
    assert.doesNotMatch(err, /secret/);
  }
  const nowhere = jobOf({ output: { result_url: 'file:///etc/passwd' } });
  assert.match((await submit(nowhere, '--url', url)).err, /is no http or https URL/);
});

test('sound is saved, or goes to standard output as it is', async (context) => {
  const sound = Uint8Array.from({ length: 1000 }, (_, i) => i % 256);
  const base64 = Buffer.from(sound).toString('base64');
  const bucket = await bucketOf(context, { '/speech.mp3': sound });
  const folder = await temporaryFolder(context);
  const outputs = [
    { audio_base64: base64, format: 'wav', duration: 1 },
    { audio_url: `${bucket}/speech.mp3?sig=1`, format: 'mp3', duration: 1 },
  ];
  for (const [i, output] of outputs.entries()) {
    const file = join(folder, `speech-${i}`);
    const { code, out, err } = await submit(jobOf({ output }), '--url', url, '--output', file);
    assert.deepEqual([code, out], [0, ''], err);
    assert.deepEqual(new Uint8Array(await readFile(file)), sound);
    assert.match(err, /Written: /);
    const child = start([jobOf({ output }), '--url', url], { VOXPOD_API_KEY: KEY });
    child.stderr.resume();
    assert.deepEqual(new Uint8Array(await buffer(child.stdout)), sound);
    const whole = await submit(jobOf({ output }), '--url', url, '--format', 'json');
    assert.deepEqual(JSON.parse(whole.out), output);
  }
  const gone = jobOf({ output: { audio_url: `${bucket}/gone.mp3` } });
  const { code, err } = await submit(gone, '--url', url, '-o', join(folder, 'gone'));
  assert.equal(code, 1);
  assert.match(err, /HTTP 403/);
  assert.deepEqual((await readdir(folder)).sort(), ['speech-0', 'speech-1']);
});

const noScript = spawnSync('script', ['--version']).status !== 0 && 'there is no script(1)';

test('on a terminal sound goes to a file', { skip: noScript }, async (context) => {
  const folder = await temporaryFolder(context);
  const audio_base64 = Buffer.from('sound').toString('base64');
  const job = jobOf({ chunks: [{ audio_base64, format: 'mp3' }, { audio_base64 }] });
  const command = `"$NODE" "$CLI" submit '${job}' --url ${url}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: folder,
    env: { PATH: process.env['PATH'], NODE: process.execPath, CLI, VOXPOD_API_KEY: KEY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const seen = await text(child.stdout);
  const [, id = ''] = /^(\S+): IN_QUEUE/m.exec(seen) ?? [];
  assert.deepEqual(await readdir(folder), [`${id}.mp3`], seen);
  assert.equal(await readFile(join(folder, `${id}.mp3`), 'utf8'), 'soundsound');
});

test('the chunks of streamed sound are put together', async (context) => {
  const parts = [Buffer.from([0, 255, 1]), Buffer.from([254]), Buffer.alloc(5000, 7)];
  const chunks = parts.map((part) => ({ audio_base64: part.toString('base64') }));
  const child = start([jobOf({ chunks }), '--url', url], { VOXPOD_API_KEY: KEY });
  child.stderr.resume();
  assert.deepEqual(await buffer(child.stdout), Buffer.concat(parts));
  const file = join(await temporaryFolder(context), 'speech.pcm');
  const saved = await submit(jobOf({ chunks }), '--url', url, '-o', file);
  assert.deepEqual([saved.code, saved.out], [0, ''], saved.err);
  assert.deepEqual(await readFile(file), Buffer.concat(parts));
  const lines = await submit(jobOf({ chunks }), '--url', url, '-f', 'json');
  assert.deepEqual(
    lines.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    chunks,
  );
});

test('progress is shown; a failed job is exit code 1 with its reason', async () => {
  const slow = await submit('{"sleep": 500}', '--url', url);
  assert.equal(slow.code, 0);
  assert.match(slow.err, /Progress: \{"position":1,"duration":2\}/);
  const failed = await submit('{"fail": "no such voice"}', '--url', url);
  assert.deepEqual([failed.code, failed.out], [1, '']);
  assert.match(failed.err, /voxpod: The job is FAILED: no such voice \(JOB_FAILED\)\n$/);
});

test('Ctrl-C cancels the job', async () => {
  const child = start(['{"sleep": 60000}', '--url', url], { VOXPOD_API_KEY: KEY });
  let seen = '';
  child.stderr.on('data', (data: Buffer) => (seen += data.toString()));
  await eventually('it runs', () => seen.includes('IN_PROGRESS'));
  const started = performance.now();
  child.kill('SIGINT');
  await once(child, 'close');
  assert.equal(child.exitCode, 130, seen);
  assert.ok(performance.now() - started < 3000);
  const id = /^(\S+): IN_QUEUE$/m.exec(seen)?.[1] ?? '';
  assert.equal((await endpointOf(platform, KEY).status(id)).status, 'CANCELLED');
});

test('what cannot be sent is refused with what to do', async (context) => {
  const folder = await temporaryFolder(context);
  const large = join(folder, 'large.wav');
  await writeFile(large, Buffer.alloc(8 * 1024 * 1024));
  const broken = join(folder, 'broken.json');
  await writeFile(broken, '{"a":');
  const list = join(folder, 'list.json');
  await writeFile(list, '[1]');
  const wrong: [string[], RegExp][] = [
    [[large, '--url', url], /8388608 bytes.*at most 10485760.*URL/],
    [[broken, '--url', url], /broken\.json is no JSON/],
    [[list, '--url', url], /must be an object/],
    [['{"input": 3}', '--url', url, '--model', 'base'], /is no object/],
    [[join(folder, 'none.wav'), '--url', url], /none\.wav cannot be read/],
    [['{}'], /either --endpoint ID or --url URL/],
    [['{}', '--endpoint', 'x', '--url', url], /either --endpoint ID or --url URL/],
    [['{}', '--endpoint', 'x'], /RUNPOD_API_KEY is not set/],
    [['{}', '--url', 'localhost:8000'], /ends with the endpoint's id/],
    [['{}', '--url', url, '--format', 'docx'], /Allowed choices/],
    [[], /missing required argument/],
  ];
  for (const [args, message] of wrong) {
    const { code, out, err } = await submit(...args);
    assert.deepEqual([code, out], [2, ''], `${args.join(' ')}: ${err}`);
    assert.match(err, message);
    assert.doesNotMatch(err, /\n\s+at /);
  }
});

test("a wrong key, endpoint or address is named; RunPod's key goes nowhere else", async () => {
  const other = await submitWith({ RUNPOD_API_KEY: KEY }, '{"a": 1}', '--url', url);
  assert.equal(other.code, 1);
  assert.match(other.err, /refused the key \(HTTP 401\)/);
  const unknown = await submit('{"a": 1}', '--url', `${platform.baseUrl}/nothing`);
  assert.match(unknown.err, /does not exist \(HTTP 404\)/);
  const gone = await LocalPlatform.start();
  await gone.close();
  const nobody = await submit('{"a": 1}', '--url', `${gone.baseUrl}/local`);
  assert.equal(nobody.code, 1);
  assert.match(nobody.err, /cannot be reached: .*ECONNREFUSED/);
});
