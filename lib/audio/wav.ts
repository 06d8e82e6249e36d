/** Samples of a RIFF WAVE file, mixed down to one channel, block by block. */
import { AudioError } from '../errors.js';
import { tooLong, type PcmLimits } from './limits.js';
import type { PcmSource } from './pcm.js';
import type { ByteReader } from './reader.js';
import { readWavHeader, type WavFormat } from './wav_header.js';

/** Bytes converted before others get a turn: about a millisecond of work. */
const blockBytes = 256 * 1024;

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

/** Converts whole frames into the start of `samples`: the mean of the channels of each. */
function mixDown(
  bytes: Uint8Array,
  { channels, sampleBytes }: WavFormat,
  read: ReadSample,
  samples: Float32Array,
): Float32Array {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frameBytes = channels * sampleBytes;
  const frames = Math.floor(bytes.length / frameBytes);
  for (let frame = 0; frame < frames; frame++) {
    let sum = 0;
    const start = frame * frameBytes;
    for (let channel = 0; channel < channels; channel++) {
      sum += read(data, start + channel * sampleBytes);
    }
    samples[frame] = sum / channels;
  }
  return samples.subarray(0, frames);
}

/**
 * PCM of 8, 16, 24 or 32 bits and floats of 32 or 64 bits, of any number of channels. A file that
 * was cut short gives what is there. The reader is closed with the source.
 * @returns undefined for an encoding that is left to ffmpeg.
 * @throws AudioError AUDIO_INVALID, AUDIO_EMPTY, AUDIO_TOO_LARGE
 */
export async function openWav(
  reader: ByteReader,
  { maxSeconds }: PcmLimits,
): Promise<PcmSource | undefined> {
  const header = await readWavHeader(reader);
  if (header === undefined) return undefined;
  const { format, dataBytes } = header;
  const frameBytes = format.channels * format.sampleBytes;
  const frames = Math.floor(dataBytes / frameBytes);
  if (frames === 0) throw new AudioError('AUDIO_EMPTY', 'The WAV file holds no samples.');
  if (frames > maxSeconds * format.sampleRate) {
    throw tooLong(frames / format.sampleRate, maxSeconds);
  }
  const readSample = sampleReader(format);
  const blockFrames = Math.max(1, Math.floor(blockBytes / frameBytes));
  const samples = new Float32Array(Math.min(blockFrames, frames));
  let left = frames;
  return {
    sampleRate: format.sampleRate,
    samples: frames,
    estimatedSeconds: undefined,
    async read() {
      const wanted = Math.min(blockFrames, left);
      if (wanted === 0) return undefined;
      const block = mixDown(await reader.read(wanted * frameBytes), format, readSample, samples);
      // Fewer came where the file shrank while it was read.
      left = block.length < wanted ? 0 : left - wanted;
      return block.length === 0 ? undefined : block;
    },
    close: () => reader.close(),
  };
}
