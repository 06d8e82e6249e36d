/** voxpod speak, as a process, with a small random model. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { packageRoot } from '../../../lib/package_root.js';
import { writeTinyModel } from '../../lib/f5/tiny_model.js';
import { nativeProblem } from '../../support/needs.js';
import { baseFolder, whyNotReal } from '../models/real.js';
import { eventually } from '../runpod/support.js';

const cli = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const skip = nativeProblem() ?? false;
const reference = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const said =
  'Yesterday it was raining all day long. Today the sun is shining and the children are playing in the garden.';

interface Ended {
  code: number | null;
  out: Buffer;
  errors: string;
}

describe('voxpod speak', { skip }, () => {
  let folder: string;
  let model: string;
  let common: string[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-speak-'));
    model = join(folder, 'model');
    await writeTinyModel(model);
    const voices = join(folder, 'voices');
    mkdirSync(voices);
    copyFileSync(reference, join(voices, 'anna.wav'));
    writeFileSync(join(voices, 'anna.txt'), said);
    writeFileSync(join(voices, 'anna.json'), '{"seed": 5, "steps": 4}');
    common = ['--model', model, '--seed', '7', '--steps', '4'];
    common.push('--reference', reference, '--reference-text', said);
  });

  after(() => rm(folder, { recursive: true }));

  function speak(args: string[], input?: string): Promise<Ended> {
    const env = { ...process.env, VOXPOD_VOICES: join(folder, 'voices'), VOXPOD_OFFLINE: '1' };
    const child = spawn(process.execPath, [cli, 'speak', ...args], { env });
    const out: Buffer[] = [];
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return new Promise((resolve) => {
      child.on('close', (code) => resolve({ code, out: Buffer.concat(out), errors }));
    });
  }

  it('writes a file, the same for one seed, from an argument, a file or its input', async () => {
    const text = 'The weather is fine.';
    const [one, two, three] = ['one.wav', 'two.wav', 'three.wav'].map((name) => join(folder, name));
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    const spectrogram = join(folder, 'one.png');
    const first = await speak([...common, text, '-o', one, '--spectrogram', spectrogram]);
    assert.equal(first.code, 0, first.errors);
    assert.match(first.errors, /s of sound in [\d.]+ s, 1 chunk, seed 7/);
    assert.equal(first.out.length, 0);
    const wav = readFileSync(one);
    assert.equal(wav.readUInt32LE(40), wav.length - 44);
    assert.equal(readFileSync(spectrogram).toString('latin1', 1, 4), 'PNG');
    writeFileSync(join(folder, 'text.txt'), text);
    assert.equal((await speak([...common, join(folder, 'text.txt'), '-o', two])).code, 0);
    assert.equal((await speak([...common, '-', '-o', three], text)).code, 0);
    for (const file of [two, three]) assert.ok(readFileSync(file).equals(wav));
    assert.ok(!readdirSync(folder).some((name) => name.includes('.part')));
  });

  it('writes to standard output as the sound comes', async () => {
    const text = 'A sentence of some length. '.repeat(20);
    const wav = await speak([...common, text]);
    assert.equal(wav.code, 0, wav.errors);
    assert.equal(wav.out.toString('latin1', 0, 4), 'RIFF');
    const pcm = await speak([...common, text, '--format', 'pcm']);
    assert.ok(pcm.out.equals(wav.out.subarray(44)));
  });

  it('writes a file while it is made, and leaves nothing of one that is not finished', async () => {
    const place = join(folder, 'long');
    mkdirSync(place);
    const [input, output] = [join(folder, 'long.txt'), join(place, 'long.wav')];
    writeFileSync(input, 'A sentence of some length is said here. '.repeat(800));
    writeFileSync(output, 'what was there');
    const child = spawn(process.execPath, [cli, 'speak', ...common, input, '-o', output]);
    const closed = once(child, 'close');
    const written = (): number => {
      const aside = readdirSync(place).find((name) => name !== 'long.wav');
      return aside === undefined ? 0 : statSync(join(place, aside)).size;
    };
    // More than a minute of sound, of half an hour.
    await eventually('the file grows', () => written() > 60 * 48_000, 60_000);
    assert.equal(readFileSync(output, 'utf8'), 'what was there');
    child.kill('SIGINT');
    assert.deepEqual(await closed, [130, null]);
    assert.deepEqual(readdirSync(place), ['long.wav']);
    assert.equal(readFileSync(output, 'utf8'), 'what was there');
  });

  it('writes to what is no file as it is, and refuses a folder', async () => {
    const text = 'The weather is fine.';
    const pipe = join(folder, 'pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const args = [...common, text, '-o', pipe, '--format', 'pcm'];
    const [piped, bytes] = await Promise.all([speak(args), readFile(pipe)]);
    assert.equal(piped.code, 0, piped.errors);
    assert.ok(statSync(pipe).isFIFO());
    const file = join(folder, 'same.wav');
    assert.equal((await speak([...common, text, '-o', file])).code, 0);
    assert.ok(readFileSync(file).subarray(44).equals(bytes));
    const refused = await speak([...common, text, '-o', folder]);
    assert.equal(refused.code, 1);
    assert.match(refused.errors, /EISDIR|directory/);
  });

  it('speaks parts of a recording anew', async () => {
    const text = said.replace('raining', 'snowing heavily');
    const flags = ['--model', model, '--seed', '7', '--steps', '4', '--reference', reference];
    const [one, two] = [join(folder, 'edit.wav'), join(folder, 'edit.pcm')];
    const spans = ['--edit', '0.84-1.34:1', '--edit', '6-6:0.5'];
    const first = await speak([text, ...flags, ...spans, '-o', one]);
    assert.equal(first.code, 0, first.errors);
    const before = (await decodeAudio(reference, { sampleRate: 24_000 })).length / 24_000;
    const wav = readFileSync(one);
    assert.equal(wav.readUInt32LE(40), wav.length - 44);
    const seconds = (wav.length - 44) / 48_000;
    assert.ok(Math.abs(seconds - before - 1) < 0.03, String(seconds));
    // The recording's text is of no use where the parts are given.
    const second = await speak([text, ...flags, '-t', said, ...spans, '-f', 'pcm']);
    assert.equal(second.code, 0, second.errors);
    assert.ok(second.out.equals(wav.subarray(44)));
    assert.equal((await speak([text, ...flags, ...spans, '-o', two])).code, 0);
    assert.ok(readFileSync(two).equals(second.out));
  });

  it('finds the parts by what is heard', { skip: whyNotReal(false) }, async () => {
    const text = said.replace('raining', 'snowing');
    const flags = ['--model', model, '--seed', '7', '--steps', '4', '--reference', reference];
    const found = await speak([text, ...flags, '--edit', 'auto', '--whisper', baseFolder]);
    assert.equal(found.code, 0, found.errors);
    const [, span = ''] = /^Found: --edit (\S+)$/m.exec(found.errors) ?? [];
    assert.match(span, /^0\.[6-9]\d*-1\.[1-5]\d*:0\.[3-9]/);
    const again = await speak([text, ...flags, '--edit', span]);
    assert.ok(again.out.equals(found.out));
  });

  it('takes a voice by its name, with its settings', async () => {
    const { code, errors, out } = await speak(['Hello there.', '--model', model, '-v', 'anna']);
    assert.equal(code, 0, errors);
    assert.match(errors, /seed 5/);
    assert.ok(out.length > 44);
    const tagged = await speak(['Hello. [anna] Hello.', ...common]);
    assert.equal(tagged.code, 0, tagged.errors);
    assert.match(tagged.errors, /2 chunks, seed 7/);
  });

  it('hears a reference without text', { skip: whyNotReal(false) }, async () => {
    const args = ['Hello there.', '--model', model, '--reference', reference];
    const { code, errors } = await speak([...args, '--whisper', baseFolder, '--steps', '2']);
    assert.equal(code, 0, errors);
  });

  it('says what is wrong, before a model is loaded', async () => {
    const rows: [string[], number, RegExp][] = [
      [['Hello'], 2, /either --reference FILE.*or --voice NAME/],
      [['Hello', '--voice', 'bob'], 1, /no voice "bob".*anna/],
      [['Hello [bob]', ...common], 2, /no voice "bob"/],
      [['!!', ...common], 2, /nothing to say/],
      [['Hello', '--edit', '1-2'], 2, /recording to edit: --reference FILE/],
      [['Hello', '--edit', '1-2', '--voice', 'anna'], 2, /--voice does not go with --edit/],
      [['Hello', ...common, '--edit', '1-2', '--cross-fade', '0'], 2, /--cross-fade does not go/],
      [['Hello', ...common, '--edit', '1'], 2, /START-END/],
      [['Hello', ...common, '--edit', '2-1'], 2, /edits\[0\]\.end/],
      [['Hello', ...common, '--edit', '1-1'], 2, /changes nothing/],
      [['Hello', ...common, '--edit', '3-4', '--edit', '1-2'], 2, /edits\[1\]\.start/],
      [['Hello', ...common, '--edit', 'auto', '--edit', '1-2'], 2, /give no other/],
      [['Hello [anna]', ...common, '--edit', '1-2'], 2, /no voice "anna"/],
      [['Hello', ...common, '--speed', '0'], 2, /speed/],
      [['Hello', ...common, '--sample-rate', '7'], 2, /8000 and 48000/],
      [['Hello', ...common, '--format', 'mp3', '--sample-rate', '9000'], 2, /mp3/],
      [['Hello', ...common, '--model', 'base'], 1, /cannot speak/],
      [['Hello', ...common, '--reference', '/none.wav'], 1, /none\.wav/],
    ];
    for (const [args, code, message] of rows) {
      const ended = await speak(args);
      assert.equal(ended.code, code, `${args.join(' ')}: ${ended.errors}`);
      assert.match(ended.errors, message);
    }
  });
});
