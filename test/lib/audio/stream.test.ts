import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { blockSamples, collect } from '../../../lib/audio/pcm.js';
import { openAudio } from '../../../lib/audio/stream.js';
import { packageRoot } from '../../../lib/package_root.js';
import { nativeProblem } from '../../support/needs.js';
import { tone, wavBytes } from './wav_bytes.js';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const needsFfmpeg = hasFfmpeg ? {} : { skip: 'ffmpeg is not installed' };
const addonProblem = nativeProblem();
const needsAddon = addonProblem === undefined ? {} : { skip: addonProblem };
const sampleRate = 16_000;

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voxpod-stream-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function file(name: string, content: Buffer | string, mode?: number): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content, { mode });
  return path;
}

describe('a stream of samples', () => {
  it('knows how long WAV and samples are, and yields them in blocks of bounded size', async () => {
    const data = tone(300_000);
    const bytes = wavBytes({ data });
    const samples = await decodeAudio(bytes);
    const sources = [bytes, await file('a.wav', bytes), { samples, sampleRate }];
    for (const source of sources) {
      const stream = await openAudio(source, { sampleRate });
      assert.equal(stream.duration, 18.75);
      assert.equal(stream.isEstimate, false);
      let at = 0;
      for (let block = await stream.read(); block; block = await stream.read()) {
        assert.ok(block.length > 0 && block.length <= blockSamples);
        assert.deepEqual(block, samples.subarray(at, at + block.length));
        at += block.length;
      }
      assert.equal(at, 300_000);
      assert.equal(await stream.read(), undefined);
      await stream.close();
    }
  });

  it('does not copy samples that have the rate', async () => {
    const samples = new Float32Array(400_000);
    const stream = await openAudio({ samples, sampleRate }, { sampleRate });
    assert.equal((await stream.read())?.buffer, samples.buffer);
    assert.equal((await stream.read())?.byteOffset, 4 * blockSamples);
  });

  it('says the length of what is resampled to the sample', needsAddon, async () => {
    for (const rate of [8000, 11_025, 44_100, 44_101]) {
      const wav = wavBytes({ sampleRate: rate, data: tone(rate * 3 + 17, rate) });
      const stream = await openAudio(wav, { sampleRate });
      const expected = stream.duration;
      const samples = await collect(stream);
      assert.equal(samples.length / sampleRate, expected);
    }
  });

  it('takes what is there of a file that shrinks while it is read', async () => {
    const path = await file('shrinks.wav', wavBytes({ data: tone(400_000) }));
    const stream = await openAudio(path, { sampleRate });
    assert.equal((await stream.read())?.length, blockSamples);
    await truncate(path, 44 + 2 * 200_001 + 1);
    assert.equal((await stream.read())?.length, 200_001 - blockSamples);
    assert.equal(await stream.read(), undefined);
  });

  it('finds a wrong sample far in, by its place, and is closed by it', async () => {
    const samples = new Float32Array(400_000);
    samples[300_000] = NaN;
    const stream = await openAudio({ samples, sampleRate }, { sampleRate });
    await stream.read();
    await stream.read();
    await assert.rejects(stream.read(), { code: 'AUDIO_INVALID', message: /Sample 300000 / });
  });

  it('ends with the reason of its signal, from file and memory', async () => {
    const bytes = wavBytes({ data: tone(400_000) });
    for (const source of [bytes, await file('b.wav', bytes)]) {
      const controller = new AbortController();
      const stream = await openAudio(source, { sampleRate, signal: controller.signal });
      await stream.read();
      const reason = new Error('enough');
      const reading = stream.read();
      controller.abort(reason);
      await assert.rejects(reading, reason);
      await assert.rejects(stream.read(), reason);
    }
  });
});

describe('a stream from ffmpeg', needsFfmpeg, () => {
  let long = '';
  let program = '';
  /** The process that was started last. */
  const pid = (): string => readFileSync(join(folder, 'pid'), 'utf8').trim();
  const written = (): number =>
    Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${pid()}/io`, 'utf8'))?.[1]);
  const isGone = (): boolean => !existsSync(`/proc/${pid()}`);

  before(async () => {
    long = join(folder, 'long.flac');
    const source = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=16000:duration=1800'];
    execFileSync('ffmpeg', ['-v', 'error', ...source, long]);
    program = await file(
      'ffmpeg.sh',
      `#!/bin/sh\necho $$ > '${join(folder, 'pid')}'\nexec ffmpeg "$@"\n`,
      0o755,
    );
  });

  it('estimates the duration, and gives the samples that were asked for at once', async () => {
    const stream = await openAudio(long, { sampleRate });
    assert.equal(stream.isEstimate, true);
    let most = 0;
    let samples = 0;
    for (let block = await stream.read(); block; block = await stream.read()) {
      most = Math.max(most, block.length);
      samples += block.length;
    }
    assert.equal(stream.duration, 1800);
    assert.equal(samples, 1800 * sampleRate);
    assert.ok(most <= blockSamples);
  });

  it('keeps ffmpeg waiting while nobody reads, and does not count that as its time', async () => {
    const stream = await openAudio(long, { sampleRate, program, timeoutSeconds: 4 });
    await stream.read();
    let before = 0;
    for (let now = written(); now !== before; now = written()) {
      before = now;
      await sleep(400);
    }
    // 57.6 MB are to come; some two minutes of them may lie ready.
    assert.ok(before > 1e6 && before < 4.5e6, `${before} bytes were written`);
    await sleep(4000);
    assert.equal(written(), before);
    // More than lay ready.
    for (let i = 0; i < 40; i++) assert.ok((await stream.read()) !== undefined);
    assert.ok(written() > before);
    await stream.close();
  });

  it('ends ffmpeg when it is closed early, more than once too', async () => {
    const stream = await openAudio(long, { sampleRate, program });
    await stream.read();
    assert.equal(isGone(), false);
    await Promise.all([stream.close(), stream.close()]);
    assert.equal(isGone(), true);
  });

  it('ends ffmpeg when the signal aborts, whether somebody reads or not', async () => {
    for (const reads of [false, true]) {
      const controller = new AbortController();
      const { signal } = controller;
      const stream = await openAudio(long, { sampleRate, program, signal });
      await stream.read();
      const reason = new Error('enough');
      const reading = reads ? collect(stream) : undefined;
      controller.abort(reason);
      if (reading !== undefined) await assert.rejects(reading, reason);
      for (let i = 0; i < 100 && !isGone(); i++) await sleep(20);
      assert.equal(isGone(), true);
      await assert.rejects(stream.read(), reason);
    }
  });

  it('lays bytes down in a file that ffmpeg can seek in, and leaves none behind', async () => {
    const path = join(folder, 'tone.m4a');
    const source = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=16000:duration=60'];
    execFileSync('ffmpeg', ['-v', 'error', ...source, '-c:a', 'aac', path]);
    const bytes = await readFile(path);
    const laidDown = (): string[] =>
      readdirSync(tmpdir()).filter((name) => name.startsWith('voxpod-audio-'));
    const others = laidDown();
    for (const reads of [true, false]) {
      const stream = await openAudio(bytes, { sampleRate });
      assert.equal(laidDown().length, others.length + 1);
      if (reads) await stream.read();
      else await stream.close();
      assert.deepEqual(laidDown(), others);
      await stream.close();
    }
  });

  it('gives what was decoded before ffmpeg failed, and then its failure', async () => {
    const failing = await file(
      'fails.sh',
      `#!/bin/sh\nffmpeg "$@"\necho '[error] broke' >&2\nexit 3\n`,
      0o755,
    );
    const source = await file('c.aiff', '');
    execFileSync('ffmpeg', [
      '-v',
      'error',
      '-y',
      '-i',
      await file('c.wav', wavBytes({ data: tone(5001) })),
      source,
    ]);
    const stream = await openAudio(source, { sampleRate, program: failing });
    assert.equal((await stream.read())?.length, 5001);
    await assert.rejects(stream.read(), { code: 'AUDIO_INVALID', message: /"broke"/ });
  });

  it('does not keep a process alive that has lost its interest', async () => {
    const script = await file(
      'lost.mjs',
      `import { openAudio } from ${JSON.stringify(join(packageRoot(), 'dist/lib/audio/stream.js'))};
      import { readFileSync } from 'node:fs';
      const path = ${JSON.stringify(long)};
      for (const source of [path, readFileSync(path)]) {
        const stream = await openAudio(source, { sampleRate: 16000 });
        if ((await stream.read()) === undefined) throw new Error('empty');
      }`,
    );
    const { status, signal, stderr } = spawnSync(process.execPath, [script], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.deepEqual([status, signal], [0, null], stderr);
  });
});
