import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findLibtorch } from '../../../lib/libtorch.js';
import { ModelStore } from '../../../src/models/store.js';
import { sileroWeights } from '../../lib/vad/sounds.js';
import { clip, placeSilero, tinyFolder, whyNotReal } from '../models/real.js';
import { temporaryFolder } from '../storage/temporary.js';

const main = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const skip = whyNotReal(true);

function start(...args: string[]): ChildProcess {
  return startWith({}, ...args);
}

function startWith(env: NodeJS.ProcessEnv, ...args: string[]): ChildProcess {
  return spawn(process.execPath, [main, 'transcribe', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, VOXPOD_OFFLINE: '1', ...env },
  });
}

interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

function run(...args: string[]): Promise<Outcome> {
  return runWith({}, ...args);
}

async function runWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Outcome> {
  const child = startWith(env, ...args);
  const [out, err] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'close'),
  ]);
  return { code: child.exitCode, out, err };
}

/** With the small English model, in English. */
function real(...args: string[]): string[] {
  return ['--model', tinyFolder, '--language', 'en', ...args];
}

test('a wrong command line is refused with what is right, before anything is loaded', async () => {
  const wrong: [string[], RegExp][] = [
    [[], /missing required argument/],
    [['a.wav', '--language', 'klingon'], /klingon/],
    [['a.wav', '--format', 'docx'], /Allowed choices are text/],
    [['a.wav', '--temperature', '0,hot'], /between 0 and 2/],
    [['a.wav', '--threads', '0'], /between 1 and 1024/],
    [['a.wav', '--seed', '1.5'], /integer/],
    [['a.wav', '--beam-size', 'x'], /between 1 and 1024/],
    [['a.wav', '--patience', '2'], /patience says nothing without beamSize/],
    [['a.wav', '--length-penalty', 'a,b'], /numbers, separated by commas/],
    [['a.wav', '--clip-timestamps', '3,2'], /ascending seconds/],
    [['a.wav', '--batch-size', '65'], /between 1 and 64 for batchSize/],
    [['a.wav', '--batch-size', '0'], /between 1 and 1024/],
    [['a.wav', '--batch-size', '8', '--no-vad'], /batchSize above 1 needs to know/],
    [['a.wav', '--vad', '--clip-timestamps', '0,5'], /clipTimestamps name what .* give one/],
    [['a.wav', '--multilingual', '--language', 'de'], /multilingual .* give one of them/],
    [['a.wav', '--dtype', 'int4'], /Allowed choices are .*int8/],
    [['a.wav', '--max-line-width', '20'], /maxLineWidth is for srt and vtt, not for text/],
    [['a.wav', '--max-line-count', '2', '-f', 'srt'], /without maxLineWidth/],
    [['x/a.wav', 'y/a.wav', '--output', '/tmp'], /different folders/],
  ];
  for (const [args, message] of wrong) {
    const { code, out, err } = await run(...args);
    assert.equal(code, 2, err);
    assert.equal(out, '');
    assert.match(err, message);
    assert.doesNotMatch(err, /\n\s+at /);
  }
});

test('an unknown model is refused with its neighbours', async () => {
  const { code, out, err } = await run('a.wav', '--model', 'bas');
  assert.notEqual(code, 0);
  assert.equal(out, '');
  assert.match(err, /Did you mean base/);
});

test('text goes to standard output, a line a segment, the rest elsewhere', { skip }, async () => {
  const { code, out, err } = await run(...real(clip('jfk.wav')));
  assert.equal(code, 0, err);
  assert.match(out.toLowerCase(), /ask not what your country can do for you/);
  assert.match(err, /jfk\.wav: 11\.0 s of audio in [\d.]+ s, [\d.]+x real time, language en\n$/);
});

test('one bad file does not stop the others', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  const bad = join(folder, 'bad.mp3');
  await writeFile(bad, 'this is no music');
  const { code, out, err } = await run(
    ...real(bad, clip('nature_en.wav'), join(folder, 'absent.wav')),
  );
  assert.equal(code, 1, err);
  assert.match(out.toLowerCase(), /mother nature/);
  assert.match(err, /bad\.mp3: /);
  assert.match(err, /absent\.wav: /);
  assert.match(err, /2 of 3 files failed/);
});

test('each format is written whole, to standard output or a file', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  const json = await run(...real(clip('jfk.wav'), '--format', 'json'));
  assert.equal((JSON.parse(json.out) as { language: string }).language, 'en');
  for (const [format, beginning] of [
    ['srt', /^1\n00:00:00,000 --> /],
    ['vtt', /^WEBVTT\n\n00:0/],
    ['tsv', /^start\tend\ttext\n0\t/],
  ] as const) {
    const { code, out, err } = await run(
      ...real(clip('jfk.wav'), '--format', format, '--output', folder),
    );
    assert.equal(code, 0, err);
    assert.equal(out, '');
    assert.match(await readFile(join(folder, `jfk.${format}`), 'utf8'), beginning);
  }
  assert.deepEqual((await readdir(folder)).sort(), ['jfk.srt', 'jfk.tsv', 'jfk.vtt']);
});

test('words are found, searched for and laid out as asked', { skip }, async () => {
  const { code, out, err } = await run(
    ...real(clip('jfk.wav'), '--format', 'vtt', '--beam-size', '5', '--patience', '1.5'),
    ...['--highlight-words', '--max-line-width', '24', '--max-line-count', '2'],
    ...['--suppress-tokens', '-1', '--clip-timestamps', '0,5.5', '--hotwords', 'Kennedy'],
  );
  assert.equal(code, 0, err);
  assert.match(out, /^WEBVTT\n\n/);
  assert.match(out, /<u>Americans,?<\/u>/);
  assert.doesNotMatch(out, /country/);
  for (const line of out.replaceAll(/<\/?u>/g, '').split('\n')) {
    if (!line.includes('-->')) assert.ok(line.length <= 24, line);
  }
});

test('speech is found and decoded in batches, with Silero or without', { skip }, async (t) => {
  const cache = await temporaryFolder(t);
  const env = { VOXPOD_CACHE: cache, LIBTORCH: findLibtorch().libtorch?.directory };
  const args = real(clip('jfk.wav'), '--batch-size', '4', '--dtype', 'int8', '--format', 'json');
  const plain = await runWith(env, ...args);
  assert.equal(plain.code, 0, plain.err);
  const transcript = JSON.parse(plain.out) as { text: string };
  assert.match(transcript.text.toLowerCase(), /ask not what your country can do for you/);
  assert.equal(plain.err.match(/silero-vad cannot be had/g)?.length, 1, plain.err);
  assert.match(plain.err, /language en, speech found by energy\n$/);

  // And nothing is looked for where nobody asks.
  const whole = await runWith(env, ...real(clip('jfk.wav')));
  assert.doesNotMatch(whole.err, /silero|speech found/);

  const silero = sileroWeights();
  if (silero.skip !== false) return t.diagnostic(silero.skip);
  placeSilero(silero.folder, new ModelStore({ env }).cache.tiers[0]?.path ?? '');
  const better = await runWith(env, ...real(clip('jfk.wav'), '--vad'));
  assert.equal(better.code, 0, better.err);
  assert.match(better.out.toLowerCase(), /ask not what your country can do for you/);
  assert.doesNotMatch(better.err, /silero-vad/);
  assert.match(better.err, /speech found by silero\n$/);
});

test('a reader that has seen enough ends it quietly', { skip }, async () => {
  const child = start(...real(...Array.from({ length: 20 }, () => clip('jfk.wav'))));
  const errors = text(child.stderr as NodeJS.ReadableStream);
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'close')]);
  child.stdout?.destroy();
  await once(child, 'close');
  assert.equal(child.exitCode, 0);
  assert.doesNotMatch(await errors, /EPIPE|\n\s+at /);
});

test('an interrupt ends it soon, with 130', { skip }, async () => {
  const child = start(...real(...Array.from({ length: 100 }, () => clip('jfk.wav'))));
  const errors = text(child.stderr as NodeJS.ReadableStream);
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'close')]);
  child.kill('SIGINT');
  const started = performance.now();
  await once(child, 'close');
  assert.ok(performance.now() - started < 3000);
  assert.equal(child.exitCode, 130, await errors);
  assert.doesNotMatch(await errors, /\n\s+at /);
});

test('its model is not evicted by another process while it works', { skip }, async (t) => {
  const cache = await temporaryFolder(t);
  const env = { VOXPOD_CACHE: cache, LIBTORCH: findLibtorch().libtorch?.directory };
  const store = new ModelStore({ env });
  const home = join(store.cache.tiers[0]?.path ?? '', 'models--org--tiny');
  const commit = 'a'.repeat(40);
  await mkdir(join(home, 'snapshots'), { recursive: true });
  await cp(tinyFolder, join(home, 'snapshots', commit), { recursive: true, dereference: true });
  await mkdir(join(home, 'refs'));
  await writeFile(join(home, 'refs', 'main'), commit);

  const clips = Array.from({ length: 5 }, () => clip('jfk.wav'));
  const child = startWith(env, '--model', 'org/tiny', '--language', 'en', ...clips);
  const errors = text(child.stderr as NodeJS.ReadableStream);
  // By now the model is in use; before, while it is loaded, as well.
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'close')]);
  const [during] = await store.cache.remove('org/tiny', {});
  assert.equal(during?.outcome, 'leased');
  child.stdout?.resume();
  await once(child, 'close');
  assert.equal(child.exitCode, 0, await errors);
  const [afterwards] = await store.cache.remove('org/tiny', {});
  assert.equal(afterwards?.outcome, 'done');
});
