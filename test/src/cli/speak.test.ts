/** voxpod speak, as a process, with a small random model. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../../lib/package_root.js';
import { writeTinyModel } from '../../lib/f5/tiny_model.js';
import { nativeProblem } from '../../support/needs.js';
import { baseFolder, whyNotReal } from '../models/real.js';

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
