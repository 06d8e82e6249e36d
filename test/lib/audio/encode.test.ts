import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeAudio } from '../../../lib/audio/decode.js';
import {
  audioFormats,
  encodeAudio,
  openEncoder,
  type AudioFormat,
  type EncodeAudioOptions,
} from '../../../lib/audio/encode.js';
import { leastLateness } from '../../support/lateness.js';
import { nativeProblem } from '../../support/needs.js';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const needsFfmpeg = hasFfmpeg ? {} : { skip: 'ffmpeg is not installed' };
const addonProblem = nativeProblem();
const needsAddon = addonProblem === undefined ? {} : { skip: addonProblem };
const encoded: AudioFormat[] = ['mp3', 'opus', 'flac'];

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voxpod-encode-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

/** A tone of 440 Hz whose loudness changes. */
function tone(seconds: number, rate = 24_000): Float32Array {
  return new Float32Array(Math.round(seconds * rate)).map(
    (_, i) =>
      0.4 * Math.sin((2 * Math.PI * 440 * i) / rate) * Math.sin((2 * Math.PI * i) / rate) ** 2,
  );
}

/** The bytes as they came, and the file with the head that it has in the end. */
async function inPieces(
  samples: Float32Array,
  size: number,
  options: EncodeAudioOptions,
): Promise<{ stream: Buffer; file: Buffer }> {
  const encoder = openEncoder(options);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < samples.length; at += size) {
    pieces.push(await encoder.write(samples.subarray(at, at + size)));
  }
  const stream = Buffer.concat([...pieces, await encoder.finish()]);
  const file = Buffer.from(stream);
  file.set(encoder.finalHead);
  return { stream, file };
}

interface Probe {
  streams: { codec_name: string; sample_rate: string; channels: number; duration?: string }[];
  format: { format_name: string; duration?: string };
}
async function probe(bytes: Uint8Array): Promise<Probe> {
  const path = join(folder, 'probed');
  await writeFile(path, bytes);
  const options = ['-v', 'error', '-of', 'json', '-show_streams', '-show_format'];
  return JSON.parse(execFileSync('ffprobe', [...options, path], { encoding: 'utf8' })) as Probe;
}

describe('wav and pcm', () => {
  it('gives back the samples of 16 bits', async () => {
    const samples = Float32Array.from({ length: 65_536 }, (_, i) => (i - 32_768) / 32_768);
    const wav = await encodeAudio(samples, { inputRate: 16_000 });
    assert.equal(wav.length, 44 + 2 * 65_536);
    assert.deepEqual(await decodeAudio(wav), samples);
  });

  it('rounds to the nearest and clips without wrapping', async () => {
    const samples = Float32Array.of(
      1,
      1.5,
      -1,
      -7,
      0.5 / 32_768,
      0.49 / 32_768,
      -1.6 / 32_768,
      1e9,
    );
    const pcm = await encodeAudio(samples, { format: 'pcm' });
    assert.deepEqual(
      [...new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2)],
      [32_767, 32_767, -32_768, -32_768, 1, 0, -2, 32_767],
    );
  });

  it('writes floats as they are', async () => {
    const samples = Float32Array.of(0.1, -1.5, 1e-9, 2);
    const wav = await encodeAudio(samples, { sampleType: 'float32', inputRate: 16_000 });
    assert.deepEqual(await decodeAudio(wav), samples);
  });

  it('is read by others, with its length', needsFfmpeg, async () => {
    for (const sampleType of ['int16', 'float32'] as const) {
      const { streams, format } = await probe(await encodeAudio(tone(1.5), { sampleType }));
      assert.equal(streams[0]?.codec_name, sampleType === 'int16' ? 'pcm_s16le' : 'pcm_f32le');
      assert.equal(streams[0].sample_rate, '24000');
      assert.equal(Number(format.duration), 1.5);
    }
  });

  it('streams the same samples behind a head without a length', async () => {
    const samples = tone(1.37);
    const whole = Buffer.from(await encodeAudio(samples));
    const { stream, file } = await inPieces(samples, 1009, {});
    assert.deepEqual(file, Buffer.from(whole));
    assert.deepEqual(stream.subarray(44), whole.subarray(44));
    assert.equal(stream.readUInt32LE(4), 0xffffffff);
    assert.equal(stream.readUInt32LE(40), 0xffffffff);
    assert.equal(whole.readUInt32LE(4), whole.length - 8);
    assert.deepEqual(await decodeAudio(stream), await decodeAudio(whole));
  });

  it('gives the head with the first samples, and does not keep them', async () => {
    const encoder = openEncoder();
    const samples = tone(0.1);
    const first = await encoder.write(samples);
    samples.fill(0);
    assert.equal(first.length, 44 + 4800);
    assert.ok(first.subarray(44).some((byte) => byte !== 0));
    assert.equal((await encoder.write(samples)).length, 4800);
    assert.equal((await encoder.finish()).length, 0);
  });

  it('resamples to the length that its head says', needsAddon, async () => {
    for (const sampleRate of [8000, 16_000, 22_050, 44_100, 48_000]) {
      const wav = Buffer.from(await encodeAudio(tone(1.0137), { sampleRate }));
      assert.equal(wav.readUInt32LE(24), sampleRate);
      assert.equal(wav.readUInt32LE(40), wav.length - 44);
      assert.equal(
        (wav.length - 44) / 2,
        Math.ceil((Math.round(1.0137 * 24_000) * sampleRate) / 24_000),
      );
      const { file } = await inPieces(tone(1.0137), 777, { sampleRate });
      assert.deepEqual(file, Buffer.from(wav));
    }
  });

  it('lets others run while it converts', async () => {
    const samples = new Float32Array(10 * 60 * 24_000).fill(0.1);
    const late = await leastLateness(() => encodeAudio(samples), 60);
    assert.ok(late < 60, `${late} ms`);
  });
});

describe('formats of ffmpeg', needsFfmpeg, () => {
  const codecs: Record<string, [string, string]> = {
    mp3: ['mp3', 'mp3'],
    opus: ['opus', 'ogg'],
    flac: ['flac', 'flac'],
  };
  for (const format of encoded) {
    it(`writes ${format} that is heard as it was`, async () => {
      const samples = tone(2);
      const file = await encodeAudio(samples, { format });
      const { streams, format: container } = await probe(file);
      const [codec, name] = codecs[format] ?? [];
      assert.equal(streams[0]?.codec_name, codec);
      assert.equal(streams[0]?.channels, 1);
      assert.equal(container.format_name, name);
      const heard = await decodeAudio(file, { sampleRate: 24_000 });
      assert.ok(Math.abs(heard.length - samples.length) < 3000, `${heard.length} samples`);
      const power = (of: Float32Array): number => of.reduce((sum, x) => sum + x * x, 0);
      const ratio = power(heard) / power(samples);
      // LAME scales by 0.95, to be safe from clipping.
      const expected = format === 'mp3' ? 0.95 ** 2 : 1;
      assert.ok(Math.abs(ratio - expected) < 0.02, `power ${ratio}`);
      if (format === 'flac') {
        const pcm = await encodeAudio(samples, { format: 'pcm' });
        const integers = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2);
        assert.deepEqual(
          heard,
          Float32Array.from(integers, (x) => x / 32_768),
        );
      }
    });

    it(`writes the same bytes of ${format} again, whole or in pieces`, async () => {
      const samples = tone(3.21);
      const first = await encodeAudio(samples, { format });
      assert.deepEqual(await encodeAudio(samples, { format }), first);
      const one = await inPieces(samples, 24_000, { format });
      assert.deepEqual(await inPieces(samples, 5003, { format }), one);
      assert.deepEqual(one.file, Buffer.from(first));
      // Of a flac in pieces the length and MD5 are missing until its head is written again.
      assert.equal(one.stream.equals(one.file), format !== 'flac');
    });

    it(`gives ${format} as it comes`, async () => {
      const encoder = openEncoder({ format });
      const first = await encoder.write(tone(3));
      const second = await encoder.write(tone(3));
      const rest = await encoder.finish();
      assert.ok(first.length > 1.5 * rest.length, `${first.length}, ${rest.length}`);
      assert.ok(second.length > 1.5 * rest.length, `${second.length}, ${rest.length}`);
    });

    it(`writes ${format} at every rate of a job`, needsAddon, async () => {
      for (const sampleRate of [8000, 16_000, 22_050, 24_000, 44_100, 48_000]) {
        const { streams } = await probe(await encodeAudio(tone(0.5), { format, sampleRate }));
        assert.equal(Number(streams[0]?.sample_rate), format === 'opus' ? 48_000 : sampleRate);
      }
    });
  }

  it('leaves no listeners behind, however often it waits', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): number => warnings.push(warning);
    process.on('warning', listen);
    try {
      await encodeAudio(tone(20), { format: 'flac' });
      await encodeAudio(tone(20), { format: 'mp3' });
      await sleep(10);
    } finally {
      process.off('warning', listen);
    }
    assert.deepEqual(warnings, []);
  });

  it('says in a flac how long it is and what its MD5 is', async () => {
    const samples = tone(1.25);
    const file = Buffer.from(await encodeAudio(samples, { format: 'flac' }));
    assert.equal(Number((await probe(file)).format.duration), 1.25);
    const pcm = await encodeAudio(samples, { format: 'pcm' });
    assert.deepEqual(file.subarray(26, 42), createHash('md5').update(pcm).digest());
  });

  it('keeps the length in Ogg', async () => {
    const { format } = await probe(await encodeAudio(tone(1.234), { format: 'opus' }));
    assert.ok(Math.abs(Number(format.duration) - 1.234) < 0.01, format.duration);
  });

  it('says what ffmpeg said where it fails', async () => {
    const program = join(folder, 'failing');
    await writeFile(program, '#!/bin/sh\necho "[error] Unknown encoder" >&2\nexit 1\n');
    await chmod(program, 0o755);
    await assert.rejects(encodeAudio(tone(20), { format: 'mp3', ffmpeg: program }), {
      code: 'FFMPEG_FAILED',
      message: /cannot encode mp3.*Unknown encoder/,
    });
  });

  it('ends a program that takes too long, and on abort with the reason', async () => {
    const program = join(folder, 'sleeping');
    await writeFile(program, '#!/bin/sh\nexec sleep 60\n');
    await chmod(program, 0o755);
    const options = { format: 'flac', ffmpeg: program } as const;
    await assert.rejects(encodeAudio(tone(20), { ...options, timeoutSeconds: 0.1 }), {
      code: 'FFMPEG_FAILED',
      message: /within 0.1 s/,
    });
    const controller = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 100);
    const call = encodeAudio(tone(20), { ...options, signal: controller.signal });
    await assert.rejects(call, reason);
    const encoder = openEncoder(options);
    const writing = encoder.write(tone(0.1));
    await writing;
    await encoder.close();
    await assert.rejects(encoder.finish(), { code: 'INVALID_ARGUMENT' });
  });
});

describe('what cannot be encoded', () => {
  it('says how to do without ffmpeg', async () => {
    for (const format of encoded) {
      await assert.rejects(encodeAudio(tone(5), { format, ffmpeg: '/nonexistent/ffmpeg' }), {
        code: 'FFMPEG_MISSING',
        message: /apt-get install ffmpeg.*ask for wav or pcm/,
      });
    }
  });

  it('refuses samples that are no sound', async () => {
    for (const sample of [NaN, Infinity, -Infinity]) {
      await assert.rejects(encodeAudio(Float32Array.of(0, sample)), {
        code: 'AUDIO_INVALID',
        message: /Sample 1 is/,
      });
    }
    await assert.rejects(encodeAudio(new Float32Array(0)), { code: 'AUDIO_EMPTY' });
    await assert.rejects(encodeAudio([0] as unknown as Float32Array), { code: 'INVALID_ARGUMENT' });
  });

  it('refuses options that are none', () => {
    const wrong: object[] = [
      { format: 'ogg' },
      { sampleRate: 96_000 },
      { sampleRate: 7999 },
      { sampleRate: 22_050.5 },
      { format: 'mp3', sampleRate: 12_345 },
      { format: 'flac', sampleType: 'float32' },
      { rate: 8000 },
    ];
    for (const options of wrong) {
      assert.throws(
        () => openEncoder(options),
        { code: 'INVALID_ARGUMENT' },
        JSON.stringify(options),
      );
    }
  });

  it('does not go on behind an error', async () => {
    const encoder = openEncoder();
    await assert.rejects(encoder.write(Float32Array.of(NaN)), { code: 'AUDIO_INVALID' });
    await assert.rejects(encoder.write(tone(1)), { code: 'INVALID_ARGUMENT' });
  });

  it('has a media type and an extension for each format', () => {
    for (const { mime, extension } of Object.values(audioFormats)) {
      assert.match(mime, /^audio\//);
      assert.match(extension, /^[a-z0-9]+$/);
    }
  });
});
