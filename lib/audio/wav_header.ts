/**
 * The head of a RIFF WAVE file. Layout: Microsoft's "Multimedia Programming Interface and Data
 * Specifications 1.0" and WAVEFORMATEXTENSIBLE; RF64 and its ds64 chunk: EBU Tech 3306.
 */
import { AudioError } from '../errors.js';
import type { ByteReader } from './reader.js';

export interface WavFormat {
  encoding: 'integer' | 'float';
  channels: number;
  /** Hertz. */
  sampleRate: number;
  /** Bytes of one sample of one channel: 1, 2, 3, 4 or 8. */
  sampleBytes: number;
}

export interface WavHeader {
  format: WavFormat;
  /** Bytes of samples that follow where the reader now stands. */
  dataBytes: number;
}

const pcm = 1;
const ieeeFloat = 3;
const extensible = 0xfffe;
/** What stands behind the code of the encoding in an extensible format's GUID. */
const guidTail = '000000001000800000aa00389b71';

export function invalid(reason: string): AudioError {
  return new AudioError('AUDIO_INVALID', `The WAV file cannot be read: ${reason}.`);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function fourCharacters(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

/** Whether the first bytes are those of a WAVE file that voxpod reads itself. */
export function looksLikeWav(start: Uint8Array): boolean {
  const container = fourCharacters(start, 0);
  return (container === 'RIFF' || container === 'RF64') && fourCharacters(start, 8) === 'WAVE';
}

/** The format, or undefined for an encoding (ADPCM, mu-law, ...) that is left to ffmpeg. */
function parseFormat(chunk: Uint8Array): WavFormat | undefined {
  if (chunk.length < 16) throw invalid(`its format chunk has ${chunk.length} bytes instead of 16`);
  const data = view(chunk);
  let code = data.getUint16(0, true);
  const channels = data.getUint16(2, true);
  const sampleRate = data.getUint32(4, true);
  const frameBytes = data.getUint16(12, true);
  const bits = data.getUint16(14, true);
  if (code === extensible) {
    if (chunk.length < 40) throw invalid('its extensible format chunk is cut short');
    if (Buffer.from(chunk.subarray(26, 40)).toString('hex') !== guidTail) return undefined;
    code = data.getUint16(24, true);
  }
  if (code !== pcm && code !== ieeeFloat) return undefined;
  const encoding = code === pcm ? 'integer' : 'float';
  if (channels === 0) throw invalid('it claims to have no channels');
  if (sampleRate < 1000 || sampleRate > 768_000) {
    throw invalid(`it claims a sample rate of ${sampleRate} Hz`);
  }
  // Samples of 20 or 24 bits may stand in wider containers, at their upper end.
  const sampleBytes = frameBytes / channels;
  const widths = encoding === 'integer' ? [1, 2, 3, 4] : [4, 8];
  if (!widths.includes(sampleBytes) || bits === 0 || bits > sampleBytes * 8) {
    throw invalid(
      `it claims ${bits}-bit ${encoding} samples of ${channels} channels in frames of ${frameBytes} bytes`,
    );
  }
  return { encoding, channels, sampleRate, sampleBytes };
}

/**
 * Bytes of samples in the file. Programs that write to a pipe cannot know the size and leave 0 or
 * 2^32 - 1; a file that was cut short promises more than there is. In all of these the samples go
 * on to the end of the file.
 */
function sizeOfData(claimed: number, riffSize: number, position: number, size: number): number {
  const present = size - position;
  if (claimed === 0) {
    const unfinished = riffSize === 0 || riffSize === 0xffffffff || riffSize + 8 <= position;
    return unfinished ? present : 0;
  }
  return Math.min(claimed, present);
}

/**
 * Reads up to the first sample.
 * @returns undefined for an encoding that is left to ffmpeg.
 * @throws AudioError AUDIO_INVALID
 */
export async function readWavHeader(reader: ByteReader): Promise<WavHeader | undefined> {
  const riff = await reader.read(12);
  if (riff.length < 12 || !looksLikeWav(riff)) throw invalid('it does not start as one');
  const wide = fourCharacters(riff, 0) === 'RF64';
  const riffSize = view(riff).getUint32(4, true);
  let wideSize: number | undefined;
  let format: WavFormat | undefined;
  let seen = false;
  for (;;) {
    const head = await reader.read(8);
    if (head.length < 8) {
      throw invalid(seen ? 'it ends before its samples' : 'it ends before its format');
    }
    const name = fourCharacters(head, 0);
    const length = view(head).getUint32(4, true);
    if (name === 'data') {
      if (!seen) throw invalid('its samples come before its format');
      if (format === undefined) return undefined;
      const claimed = wide && length === 0xffffffff ? (wideSize ?? length) : length;
      return {
        format,
        dataBytes: sizeOfData(claimed, riffSize, reader.position, reader.size),
      };
    }
    if (length > reader.size - reader.position) {
      throw invalid(`its chunk ${JSON.stringify(name)} of ${length} bytes reaches beyond its end`);
    }
    if (name === 'fmt ') {
      const taken = Math.min(length, 64);
      format = parseFormat(await reader.read(taken));
      seen = true;
      reader.skip(length - taken);
    } else if (name === 'ds64' && wide && length >= 24) {
      const body = view(await reader.read(24));
      const dataSize = body.getBigUint64(8, true);
      wideSize = dataSize > BigInt(reader.size) ? reader.size : Number(dataSize);
      reader.skip(length - 24);
    } else {
      reader.skip(length);
    }
    // Chunks are padded to an even length.
    if (length % 2 === 1) reader.skip(1);
  }
}
