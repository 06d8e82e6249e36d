import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileReader, memoryReader } from '../../../lib/audio/reader.js';
import { collect } from '../../../lib/audio/pcm.js';
import { openWav } from '../../../lib/audio/wav.js';
import { AudioError, type ErrorCode } from '../../../lib/errors.js';
import { chunk, tone, wavBytes, type WavParts } from './wav_bytes.js';

interface Pcm {
  samples: Float32Array;
  sampleRate: number;
}

async function read(bytes: Buffer, maxSeconds = 3600): Promise<Pcm> {
  const source = await openWav(memoryReader(bytes), { maxSeconds });
  assert.ok(source !== undefined, 'left to ffmpeg');
  return { samples: await collect(source), sampleRate: source.sampleRate };
}

async function values(parts: WavParts): Promise<number[]> {
  return [...(await read(wavBytes(parts))).samples];
}

async function refuses(bytes: Buffer, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(
    openWav(memoryReader(bytes), { maxSeconds: 3600 }),
    (error: unknown) =>
      error instanceof AudioError && error.code === code && message.test(error.message),
  );
}

function bytesOf(size: number, write: (buffer: Buffer) => void): Buffer {
  const buffer = Buffer.alloc(size);
  write(buffer);
  return buffer;
}

describe('WAV samples', () => {
  it('reads 8, 16, 24 and 32 bits', async () => {
    assert.deepEqual(await values({ bits: 8, data: Buffer.from([0, 128, 192, 255]) }), [
      -1,
      0,
      0.5,
      127 / 128,
    ]);
    const data16 = bytesOf(4, (b) => {
      b.writeInt16LE(-32768, 0);
      b.writeInt16LE(16384, 2);
    });
    assert.deepEqual(await values({ data: data16 }), [-1, 0.5]);
    const data24 = bytesOf(9, (b) => {
      b.writeIntLE(-8388608, 0, 3);
      b.writeIntLE(4194304, 3, 3);
      b.writeIntLE(-1, 6, 3);
    });
    assert.deepEqual(await values({ bits: 24, data: data24 }), [-1, 0.5, -1 / 8388608]);
    const data32 = bytesOf(8, (b) => {
      b.writeInt32LE(-2147483648, 0);
      b.writeInt32LE(1073741824, 4);
    });
    assert.deepEqual(await values({ bits: 32, data: data32 }), [-1, 0.5]);
  });

  it('reads floats of 32 and 64 bits', async () => {
    const data32 = bytesOf(8, (b) => {
      b.writeFloatLE(0.25, 0);
      b.writeFloatLE(-1.5, 4);
    });
    assert.deepEqual(await values({ code: 3, bits: 32, data: data32 }), [0.25, -1.5]);
    const data64 = bytesOf(16, (b) => {
      b.writeDoubleLE(0.25, 0);
      b.writeDoubleLE(-0.75, 8);
    });
    assert.deepEqual(await values({ code: 3, bits: 64, data: data64 }), [0.25, -0.75]);
  });

  it('mixes channels by their mean', async () => {
    const data = bytesOf(12, (b) => {
      [100, 200, 300, -300, 0, 3000].forEach((value, i) => b.writeInt16LE(value, i * 2));
    });
    assert.deepEqual(
      await values({ channels: 3, data }),
      [200, 900].map((value) => Math.fround(value / 32768)),
    );
  });

  it('reads the extensible format and samples in wider containers', async () => {
    const data = bytesOf(8, (b) => {
      b.writeInt32LE(0x40000000, 0);
      b.writeInt32LE(-0x20000000, 4);
    });
    // 24 bits at the upper end of 32.
    assert.deepEqual(
      await values({ extensible: true, bits: 24, frameBytes: 4, data }),
      [0.5, -0.25],
    );
  });

  it('tells the sample rate', async () => {
    assert.equal((await read(wavBytes({ sampleRate: 44_100 }))).sampleRate, 44_100);
  });

  it('steps over other chunks, odd ones with their padding', async () => {
    const list = chunk('LIST', Buffer.from('INFOabc'));
    const samples = await values({
      before: [list, chunk('junk', Buffer.alloc(0))],
      data: tone(50),
    });
    assert.equal(samples.length, 50);
  });

  it('does not read chunks after the samples as samples', async () => {
    const parts = { data: tone(50), after: [chunk('LIST', Buffer.alloc(64, 1))] };
    assert.equal((await values(parts)).length, 50);
  });

  for (const [name, sizes] of [
    ['0xffffffff', { riffSize: 0xffffffff, dataSize: 0xffffffff }],
    ['0', { riffSize: 0, dataSize: 0 }],
    ['0 in a file of 36 bytes', { riffSize: 36, dataSize: 0 }],
  ] as const) {
    it(`reads a stream whose data size was left at ${name}`, async () => {
      assert.equal((await values({ ...sizes, data: tone(500) })).length, 500);
    });
  }

  it('reads what there is of a file that was cut short', async () => {
    const whole = wavBytes({ data: tone(1000), channels: 2 });
    const cut = whole.subarray(0, 44 + 4 * 100 + 3);
    assert.equal((await read(cut)).samples.length, 100);
  });

  it('reads RF64 with its wide sizes', async () => {
    const ds64 = Buffer.alloc(28);
    ds64.writeBigUInt64LE(800n, 8);
    const data = tone(400);
    const bytes = wavBytes({ data, dataSize: 0xffffffff, riffSize: 0xffffffff });
    const rest = Buffer.concat([bytes.subarray(12), chunk('LIST', Buffer.alloc(30))]);
    const head = Buffer.concat([Buffer.from('RF64'), bytes.subarray(4, 12), chunk('ds64', ds64)]);
    assert.equal((await read(Buffer.concat([head, rest]))).samples.length, 400);
  });

  it('leaves ADPCM to ffmpeg', async () => {
    const bytes = wavBytes({ code: 2, bits: 4, frameBytes: 256 });
    assert.equal(await openWav(memoryReader(bytes), { maxSeconds: 60 }), undefined);
  });

  it('reads files like memory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'voxpod-wav-'));
    try {
      const bytes = wavBytes({
        before: [chunk('LIST', Buffer.alloc(99))],
        channels: 2,
        data: tone(400_000),
      });
      const path = join(folder, 'a.wav');
      await writeFile(path, bytes);
      const fromFile = await openWav(await fileReader(path), { maxSeconds: 60 });
      assert.ok(fromFile !== undefined);
      assert.equal(fromFile.samples, 200_000);
      const samples = await collect(fromFile);
      assert.equal(samples.length, 200_000);
      assert.deepEqual(samples, (await read(bytes)).samples);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('WAV files that are wrong', () => {
  const cases: [string, Buffer, ErrorCode, RegExp][] = [
    ['no channels', wavBytes({ channels: 0, frameBytes: 2 }), 'AUDIO_INVALID', /no channels/],
    ['a rate of 0', wavBytes({ sampleRate: 0 }), 'AUDIO_INVALID', /sample rate of 0/],
    ['a rate of 4 GHz', wavBytes({ sampleRate: 4e9 }), 'AUDIO_INVALID', /sample rate/],
    ['frames of 0 bytes', wavBytes({ frameBytes: 0 }), 'AUDIO_INVALID', /frames of 0 bytes/],
    ['bits beyond the frame', wavBytes({ bits: 32, frameBytes: 2 }), 'AUDIO_INVALID', /32-bit/],
    ['floats of 16 bits', wavBytes({ code: 3, bits: 16 }), 'AUDIO_INVALID', /16-bit float/],
    ['no samples', wavBytes({ data: Buffer.alloc(0) }), 'AUDIO_EMPTY', /no samples/],
    ['half a frame', wavBytes({ channels: 2, data: Buffer.alloc(3) }), 'AUDIO_EMPTY', /no samples/],
    ['no data chunk', wavBytes().subarray(0, 36), 'AUDIO_INVALID', /ends before its samples/],
    ['nothing but a head', wavBytes().subarray(0, 12), 'AUDIO_INVALID', /ends before its format/],
    ['a cut head', wavBytes().subarray(0, 9), 'AUDIO_INVALID', /does not start/],
    [
      'a chunk beyond the end',
      Buffer.concat([wavBytes().subarray(0, 36), chunk('LIST', Buffer.alloc(4), 0x7fffffff)]),
      'AUDIO_INVALID',
      /"LIST" of 2147483647 bytes/,
    ],
    [
      'samples before the format',
      Buffer.concat([wavBytes().subarray(0, 12), chunk('data', Buffer.alloc(64))]),
      'AUDIO_INVALID',
      /before its format/,
    ],
    [
      'a short format',
      Buffer.concat([wavBytes().subarray(0, 12), chunk('fmt ', Buffer.alloc(10))]),
      'AUDIO_INVALID',
      /10 bytes instead of 16/,
    ],
  ];
  for (const [name, bytes, code, message] of cases) {
    it(`refuses ${name}`, () => refuses(bytes, code, message));
  }

  it('refuses more seconds than allowed before it takes memory', async () => {
    const bytes = wavBytes({ data: tone(32_000) });
    await assert.rejects(openWav(memoryReader(bytes), { maxSeconds: 1.9 }), {
      code: 'AUDIO_TOO_LARGE',
    });
    assert.equal((await read(bytes, 2)).samples.length, 32_000);
  });
});
