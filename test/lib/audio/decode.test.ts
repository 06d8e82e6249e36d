import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import type { AudioSource } from '../../../lib/audio/source.js';
import { collectGarbage } from '../../support/garbage.js';
import { leastLateness } from '../../support/lateness.js';
import { nativeProblem } from '../../support/needs.js';
import { tone, wavBytes } from './wav_bytes.js';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const needsFfmpeg = hasFfmpeg ? {} : { skip: 'ffmpeg is not installed' };
const addonProblem = nativeProblem();
const needsAddon = addonProblem === undefined ? {} : { skip: addonProblem };

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voxpod-decode-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function file(name: string, content: Buffer | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** A file of a tone, made by ffmpeg. */
function encoded(name: string, ...options: string[]): string {
  const path = join(folder, name);
  const source = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=16000:duration=2'];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...source, ...options, `file:${path}`]);
  return path;
}

/** How much of the energy in the second second's first half is a tone of 440 Hz: 0 to 1. */
function purity(samples: Float32Array, sampleRate = 16_000): number {
  let [sine, cosine, energy] = [0, 0, 0];
  const start = sampleRate;
  const count = sampleRate / 2;
  for (let i = 0; i < count; i++) {
    const sample = samples[start + i] ?? 0;
    const angle = (2 * Math.PI * 440 * i) / sampleRate;
    sine += sample * Math.sin(angle);
    cosine += sample * Math.cos(angle);
    energy += sample * sample;
  }
  return energy === 0 ? 0 : (2 * (sine * sine + cosine * cosine)) / (count * energy);
}

describe('WAV without ffmpeg', () => {
  const options = { ffmpeg: '/nonexistent/ffmpeg' };

  it('reads a path and bytes', async () => {
    const bytes = wavBytes({ data: tone(4000) });
    const fromBytes = await decodeAudio(bytes, options);
    const fromPath = await decodeAudio(await file('a.wav', bytes), options);
    assert.equal(fromBytes.length, 4000);
    assert.deepEqual(fromPath, fromBytes);
  });

  it('takes samples as they are', async () => {
    const samples = Float32Array.of(0, 0.5, -0.5);
    assert.equal(await decodeAudio({ samples, sampleRate: 16_000 }), samples);
  });

  it('resamples to the rate that is asked for', needsAddon, async () => {
    const wav = wavBytes({ sampleRate: 44_100, data: tone(88_200, 44_100) });
    const samples = await decodeAudio(wav, options);
    assert.ok(Math.abs(samples.length - 32_000) <= 1);
    assert.ok(purity(samples) > 0.999, `purity ${purity(samples)}`);
  });

  it('keeps the event loop free over minutes of samples', async () => {
    const data = tone(16_000 * 60 * 5);
    const path = await file('long.wav', wavBytes({ data }));
    const late = await leastLateness(() => decodeAudio(path, options), 50);
    assert.ok(late < 50, `a timer was ${late} ms late`);
  });
});

describe('other formats, by ffmpeg', needsFfmpeg, () => {
  const formats: [string, string[]][] = [
    ['tone.mp3', []],
    ['tone.flac', []],
    ['tone.ogg', ['-c:a', 'libvorbis']],
    ['tone.webm', ['-c:a', 'libopus']],
    // The index is at the end.
    ['tone.m4a', ['-c:a', 'aac']],
    ['tone.adpcm.wav', ['-c:a', 'adpcm_ms']],
    ['tone.aiff', []],
  ];
  for (const [name, options] of formats) {
    it(`decodes ${name} from a path and from bytes`, async () => {
      const path = encoded(name, ...options);
      const samples = await decodeAudio(path);
      assert.ok(Math.abs(samples.length - 32_000) < 3000, `${samples.length} samples`);
      assert.ok(purity(samples) > 0.95, `purity ${purity(samples)}`);
      const fromBytes = await decodeAudio(await readFile(path));
      assert.ok(Math.abs(fromBytes.length - samples.length) < 3000);
      assert.ok(purity(fromBytes) > 0.95, `purity ${purity(fromBytes)}`);
    });
  }

  it('gives the same samples as the own WAV reader', async () => {
    const wav = wavBytes({ data: tone(20_000) });
    const flac = join(folder, 'same.flac');
    execFileSync('ffmpeg', ['-v', 'error', '-i', await file('same.wav', wav), flac]);
    assert.deepEqual(await decodeAudio(flac), await decodeAudio(wav));
  });

  it('reads WAV as ffmpeg writes it to a pipe', async () => {
    const bytes = execFileSync('ffmpeg', [
      ...['-v', 'error', '-f', 'lavfi', '-i', 'sine=440:sample_rate=16000:duration=1'],
      ...['-f', 'wav', '-c:a', 'pcm_s24le', 'pipe:1'],
    ]);
    const samples = await decodeAudio(bytes, { ffmpeg: '/nonexistent' });
    assert.equal(samples.length, 16_000);
  });

  for (const name of ['-i', '-y.flac', 'a:b.flac', 'http:x.flac', 'qu\'ote "$(id)" %d\n.flac']) {
    it(`reads a file called ${JSON.stringify(name)}`, async () => {
      const path = encoded('odd.flac');
      const inner = await mkdtemp(join(folder, 'odd-'));
      await writeFile(join(inner, name), await readFile(path));
      const here = process.cwd();
      process.chdir(inner);
      try {
        assert.equal((await decodeAudio(name)).length, 32_000);
      } finally {
        process.chdir(here);
      }
    });
  }

  it('opens neither files nor addresses that a playlist names', async () => {
    const sound = encoded('inner.mp3');
    const playlists: [string, string][] = [
      [
        'list.m3u8',
        `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:${sound}\n#EXT-X-ENDLIST\n`,
      ],
      ['list.ffconcat', `ffconcat version 1.0\nfile 'inner.mp3'\n`],
    ];
    for (const [name, text] of playlists) {
      const path = await file(name, text);
      const expected = { code: 'AUDIO_INVALID', message: /not in a format for sound/ };
      await assert.rejects(decodeAudio(path), expected, name);
      await assert.rejects(decodeAudio(Buffer.from(text)), expected, name);
    }
  });

  it('refuses a text file called .mp3', async () => {
    const path = await file('text.mp3', 'This is no sound at all.\n'.repeat(200));
    await assert.rejects(decodeAudio(path), {
      code: 'AUDIO_INVALID',
      message: /cannot be decoded: ffmpeg says/,
    });
  });

  it('says what ffmpeg said of a broken file', async () => {
    const broken = Buffer.concat([Buffer.from('fLaC'), Buffer.alloc(5000, 7)]);
    await assert.rejects(decodeAudio(broken), { code: 'AUDIO_INVALID', message: /ffmpeg says/ });
  });

  it('refuses a picture', async () => {
    const path = join(folder, 'picture.mkv');
    const source = ['-f', 'lavfi', '-i', 'color=size=32x32:duration=0.2'];
    execFileSync('ffmpeg', ['-v', 'error', ...source, '-c:v', 'mpeg4', path]);
    await assert.rejects(decodeAudio(path), { code: 'AUDIO_INVALID' });
  });

  it('stops at the longest length', async () => {
    const path = encoded('two_seconds.mp3');
    await assert.rejects(decodeAudio(path, { maxSeconds: 1 }), { code: 'AUDIO_TOO_LARGE' });
  });

  it('ends a program that takes too long', async () => {
    const path = encoded('slow.mp3');
    await assert.rejects(decodeAudio(path, { timeoutSeconds: 0.001 }), { code: 'FFMPEG_FAILED' });
  });

  it('kills ffmpeg on abort, with the reason', async () => {
    // A pipe that nobody writes to keeps ffmpeg waiting.
    const path = join(folder, 'pipe.mp3');
    execFileSync('mkfifo', [path]);
    const controller = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => {
      controller.abort(reason);
    }, 150);
    const started = performance.now();
    await assert.rejects(decodeAudio(path, { signal: controller.signal }), reason);
    assert.ok(performance.now() - started < 5000);
  });
});

describe('audio that is wrong', () => {
  const cases: [string, () => Promise<AudioSource> | AudioSource, string][] = [
    ['a path that is not there', () => join(folder, 'nowhere.wav'), 'AUDIO_NOT_FOUND'],
    ['a path with a zero byte', () => 'a\0b.wav', 'AUDIO_NOT_FOUND'],
    ['an empty path', () => '', 'INVALID_ARGUMENT'],
    ['an empty file', () => file('empty.wav', ''), 'AUDIO_EMPTY'],
    ['no bytes', () => new Uint8Array(0), 'AUDIO_EMPTY'],
    ['no samples', () => ({ samples: new Float32Array(0), sampleRate: 16_000 }), 'AUDIO_EMPTY'],
    ['NaN', () => ({ samples: Float32Array.of(0, NaN), sampleRate: 16_000 }), 'AUDIO_INVALID'],
    [
      'infinity',
      () => ({ samples: Float32Array.of(-Infinity), sampleRate: 16_000 }),
      'AUDIO_INVALID',
    ],
    [
      'absurd numbers',
      () => ({ samples: Float32Array.of(3e38), sampleRate: 16_000 }),
      'AUDIO_INVALID',
    ],
    ['a rate of 0', () => ({ samples: Float32Array.of(0), sampleRate: 0 }), 'INVALID_ARGUMENT'],
  ];
  for (const [name, source, code] of cases) {
    it(`refuses ${name} with ${code}`, async () => {
      await assert.rejects(decodeAudio(await source()), { code });
    });
  }

  it('refuses NaN in a WAV of floats', async () => {
    const data = Buffer.alloc(400);
    data.writeFloatLE(NaN, 200);
    await assert.rejects(decodeAudio(wavBytes({ code: 3, bits: 32, data })), {
      code: 'AUDIO_INVALID',
      message: /Sample 50 .* NaN/,
    });
  });

  it('refuses a folder', async () => {
    const path = join(folder, 'folder.wav');
    await mkdir(path);
    await assert.rejects(decodeAudio(path), { code: 'AUDIO_INVALID', message: /folder/ });
  });

  it('says that addresses are not fetched', async () => {
    await assert.rejects(decodeAudio('https://example.com/a.wav'), {
      code: 'AUDIO_NOT_FOUND',
      message: /download/,
    });
  });

  it('says how to install ffmpeg where it is missing', async () => {
    await assert.rejects(decodeAudio(Buffer.from('ID3'), { ffmpeg: '/nonexistent/ffmpeg' }), {
      code: 'FFMPEG_MISSING',
      message: /apt-get install ffmpeg/,
    });
  });

  it('refuses values of other types', async () => {
    const values: unknown[] = [null, 7, {}, { samples: [1, 2], sampleRate: 16_000 }];
    for (const value of values) {
      await assert.rejects(decodeAudio(value as AudioSource), { code: 'INVALID_ARGUMENT' });
    }
  });

  it('refuses unknown options and wrong values', async () => {
    const samples = { samples: Float32Array.of(0), sampleRate: 16_000 };
    await assert.rejects(decodeAudio(samples, { maxSecond: 3 } as object), {
      code: 'INVALID_ARGUMENT',
      message: /Did you mean maxSeconds/,
    });
    await assert.rejects(decodeAudio(samples, { sampleRate: 1.5 }), { code: 'INVALID_ARGUMENT' });
  });

  it('does not start on a signal that has aborted', async () => {
    const reason = new Error('never mind');
    const signal = AbortSignal.abort(reason);
    await assert.rejects(decodeAudio('nowhere.wav', { signal }), reason);
  });
});

it("leaves a caller's own samples alone", needsAddon, async () => {
  const samples = new Float32Array(48_000).fill(0.5);
  const resampled = await decodeAudio({ samples, sampleRate: 48_000 });
  assert.equal(resampled.length, 16_000);
  assert.equal(samples.length, 48_000);
  assert.equal(samples[47_999], 0.5);
});

it('frees the samples of the old rate as soon as they are resampled', needsAddon, async () => {
  const path = await file('48k.wav', wavBytes({ sampleRate: 48_000, data: tone(120 * 48_000) }));
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const samples = await decodeAudio(path);
  const kept = process.memoryUsage().arrayBuffers - before;
  assert.equal(samples.length, 120 * 16_000);
  assert.ok(kept < samples.byteLength + 2e6, `${kept} bytes`);
});
