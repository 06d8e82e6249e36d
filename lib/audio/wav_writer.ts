/**
 * The head of a RIFF WAVE file of one channel. Layout: Microsoft's "Multimedia Programming Interface
 * and Data Specifications 1.0"; floats need the longer format chunk and a fact chunk.
 */

export interface WavLayout {
  /** Hertz. */
  sampleRate: number;
  /** Signed 16-bit integers, or floats between -1 and 1. */
  sampleType: 'int16' | 'float32';
  /** Samples that follow; undefined where that is not known yet. */
  samples: number | undefined;
}

/** What stands for a size that is not known, as ffmpeg and sox write it to a pipe. */
const unknown = 0xffffffff;

export function wavHead({ sampleRate, sampleType, samples }: WavLayout): Uint8Array {
  const isFloat = sampleType === 'float32';
  const sampleBytes = isFloat ? 4 : 2;
  const head = Buffer.alloc(isFloat ? 58 : 44);
  const dataBytes = (samples ?? Infinity) * sampleBytes;
  const size = (bytes: number): number => (bytes < unknown ? bytes : unknown);
  let at = 0;
  const word = (value: number): number => (at = head.writeUInt32LE(value, at));
  const half = (value: number): number => (at = head.writeUInt16LE(value, at));
  const name = (value: string): number => (at += head.write(value, at, 'latin1'));
  name('RIFF');
  word(size(head.length - 8 + dataBytes));
  name('WAVEfmt ');
  word(isFloat ? 18 : 16);
  half(isFloat ? 3 : 1);
  half(1);
  word(sampleRate);
  word(sampleRate * sampleBytes);
  half(sampleBytes);
  half(8 * sampleBytes);
  if (isFloat) {
    half(0);
    name('fact');
    word(4);
    word(size(samples ?? unknown));
  }
  name('data');
  word(size(dataBytes));
  return head;
}
