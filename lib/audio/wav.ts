/** Samples of a RIFF WAVE file, mixed down to one channel, in slices that keep Node's loop free. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AudioError } from '../errors.js';
import type { ByteReader } from './reader.js';
import { readWavHeader, type WavFormat } from './wav_header.js';

export interface Pcm {
  /** Mono, -1 to 1. */
  samples: Float32Array;
  /** Hertz. */
  sampleRate: number;
}

export interface PcmLimits {
  signal?: AbortSignal | undefined;
  /** Longer audio is refused with AUDIO_TOO_LARGE. */
  maxSeconds: number;
}

/** Bytes converted before others get a turn: about a millisecond of work. */
const sliceBytes = 256 * 1024;

export function tooLong(seconds: number, maxSeconds: number): AudioError {
  return new AudioError(
    'AUDIO_TOO_LARGE',
    `The audio is ${seconds.toFixed(0)} s long or more, and the limit is ${maxSeconds} s. Cut it into parts or raise maxSeconds.`,
  );
}

type ReadSample = (data: DataView, at: number) => number;

/** How a sample is read, as a number between -1 and 1. */
function sampleReader({ encoding, sampleBytes }: WavFormat): ReadSample {
  if (encoding === 'float') {
    return sampleBytes === 4
      ? (data, at) => data.getFloat32(at, true)
      : (data, at) => data.getFloat64(at, true);
  }
  switch (sampleBytes) {
    case 1: // The only unsigned width.
      return (data, at) => (data.getUint8(at) - 128) / 128;
    case 2:
      return (data, at) => data.getInt16(at, true) / 32768;
    case 3:
      return (data, at) => (data.getInt8(at + 2) * 65536 + data.getUint16(at, true)) / 8388608;
    default:
      return (data, at) => data.getInt32(at, true) / 2147483648;
  }
}

/** Converts whole frames into `samples` from `at` on: the mean of the channels of each. */
function mixDown(
  bytes: Uint8Array,
  format: WavFormat,
  read: ReadSample,
  samples: Float32Array,
  at: number,
): void {
  const { channels, sampleBytes } = format;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frameBytes = channels * sampleBytes;
  const frames = bytes.length / frameBytes;
  for (let frame = 0; frame < frames; frame++) {
    let sum = 0;
    const start = frame * frameBytes;
    for (let channel = 0; channel < channels; channel++) {
      sum += read(data, start + channel * sampleBytes);
    }
    samples[at + frame] = sum / channels;
  }
}

/**
 * Reads PCM of 8, 16, 24 or 32 bits and floats of 32 or 64 bits, of any number of channels. A file
 * that was cut short gives what is there.
 * @returns undefined for an encoding that is left to ffmpeg.
 * @throws AudioError AUDIO_INVALID, AUDIO_EMPTY, AUDIO_TOO_LARGE
 */
export async function readWav(reader: ByteReader, limits: PcmLimits): Promise<Pcm | undefined> {
  const header = await readWavHeader(reader);
  if (header === undefined) return undefined;
  const { format, dataBytes } = header;
  const frameBytes = format.channels * format.sampleBytes;
  const frames = Math.floor(dataBytes / frameBytes);
  if (frames === 0) throw new AudioError('AUDIO_EMPTY', 'The WAV file holds no samples.');
  if (frames > limits.maxSeconds * format.sampleRate) {
    throw tooLong(frames / format.sampleRate, limits.maxSeconds);
  }
  const samples = new Float32Array(frames);
  const read = sampleReader(format);
  const sliceFrames = Math.max(1, Math.floor(sliceBytes / frameBytes));
  let done = 0;
  while (done < frames) {
    limits.signal?.throwIfAborted();
    const wanted = Math.min(sliceFrames, frames - done);
    const bytes = await reader.read(wanted * frameBytes);
    const whole = Math.floor(bytes.length / frameBytes);
    mixDown(bytes.subarray(0, whole * frameBytes), format, read, samples, done);
    done += whole;
    // The file shrank while it was read.
    if (whole < wanted) break;
    await nextTurn();
  }
  return { samples: samples.subarray(0, done), sampleRate: format.sampleRate };
}
