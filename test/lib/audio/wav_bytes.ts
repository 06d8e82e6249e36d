/** WAV files written for tests. */

export interface WavParts {
  code?: number;
  channels?: number;
  sampleRate?: number;
  bits?: number;
  frameBytes?: number;
  /** Written in place of the true sizes. */
  riffSize?: number;
  dataSize?: number;
  extensible?: boolean;
  /** Whole chunks before the samples, after the format. */
  before?: Buffer[];
  after?: Buffer[];
  data?: Buffer;
}

export function chunk(name: string, body: Buffer, claimed = body.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(name, 0, 'latin1');
  head.writeUInt32LE(claimed, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
}

export function wavBytes(parts: WavParts = {}): Buffer {
  const {
    code = 1,
    channels = 1,
    sampleRate = 16_000,
    bits = 16,
    frameBytes = (channels * bits) / 8,
    extensible = false,
    before = [],
    after = [],
    data = Buffer.alloc(320),
  } = parts;
  const format = Buffer.alloc(extensible ? 40 : 16);
  format.writeUInt16LE(extensible ? 0xfffe : code, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(sampleRate, 4);
  format.writeUInt32LE((sampleRate * frameBytes) >>> 0, 8);
  format.writeUInt16LE(frameBytes, 12);
  format.writeUInt16LE(bits, 14);
  if (extensible) {
    format.writeUInt16LE(22, 16);
    format.writeUInt16LE(bits, 18);
    format.writeUInt16LE(code, 24);
    Buffer.from('000000001000800000aa00389b71', 'hex').copy(format, 26);
  }
  const body = Buffer.concat([
    chunk('fmt ', format),
    ...before,
    chunk('data', data, parts.dataSize),
    ...after,
  ]);
  const riff = Buffer.alloc(12);
  riff.write('RIFF', 0, 'latin1');
  riff.writeUInt32LE(parts.riffSize ?? body.length + 4, 4);
  riff.write('WAVE', 8, 'latin1');
  return Buffer.concat([riff, body]);
}

/** 16-bit samples of a tone. */
export function tone(samples: number, sampleRate = 16_000, hertz = 440): Buffer {
  const data = Buffer.alloc(samples * 2);
  for (let i = 0; i < samples; i++) {
    const value = Math.sin((2 * Math.PI * hertz * i) / sampleRate) * 16_000;
    data.writeInt16LE(Math.round(value), i * 2);
  }
  return data;
}
