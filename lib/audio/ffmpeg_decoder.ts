/**
 * Audio decoded to 16-bit samples by ffmpeg: bounded in length and time, at the pace of who reads.
 * The options follow openai-whisper's own call, so that the same file gives the same samples.
 */
import { AudioError } from '../errors.js';
import { FfmpegProcess, installFfmpeg, lastComplaint, type FfmpegRun } from './ffmpeg_process.js';
import { tooLong, type PcmLimits } from './limits.js';
import { blockSamples, type PcmSource } from './pcm.js';

export interface FfmpegOptions extends PcmLimits, Pick<FfmpegRun, 'program' | 'timeoutSeconds'> {
  /** Hertz of what comes out. */
  sampleRate: number;
}

/**
 * Containers that hold sound, and nothing that refers to other files or addresses: playlists (hls,
 * concat, dash, ...), device and scripting formats stay closed, whatever a job sends.
 */
const containers = [
  ...['aac', 'ac3', 'adts', 'aiff', 'amr', 'amrnb', 'amrwb', 'ape', 'asf', 'au', 'avi', 'caf'],
  ...['dsf', 'dts', 'dtshd', 'eac3', 'flac', 'flv', 'gsm', 'loas', 'matroska', 'mlp', 'mov', 'mp3'],
  ...['mp4', 'mpc', 'mpc8', 'mpeg', 'mpegts', 'mxf', 'nut', 'ogg', 'rm', 'shn', 'sox', 'tak'],
  ...['truehd', 'tta', 'voc', 'w64', 'wav', 'webm', 'wv', 'xwma'],
].join(',');

const missing = `Decoding this audio needs ffmpeg, which was not found. ${installFfmpeg}, or give a WAV file of PCM samples.`;

function argumentsFor(path: string, sampleRate: number): string[] {
  return [
    // Every line with its level: the complaints, and the input's description, which has its length.
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'level+info'],
    ...['-protocol_whitelist', 'file', '-format_whitelist', containers],
    // With its protocol named, a path may start with "-" or hold a colon.
    ...['-i', `file:${path}`],
    ...['-vn', '-sn', '-dn', '-f', 's16le', '-acodec', 'pcm_s16le', '-ac', '1'],
    ...['-ar', String(sampleRate), 'pipe:1'],
  ];
}

function undecodable(complaints: string, status: number | null): AudioError {
  const reason = complaints.includes('not on whitelist')
    ? 'it is not in a format for sound'
    : `ffmpeg says "${lastComplaint(complaints, status)}"`;
  return new AudioError(
    'AUDIO_INVALID',
    `The audio cannot be decoded: ${reason}. Check that the file is whole and is an audio file.`,
  );
}

export class FfmpegDecoder implements PcmSource {
  readonly sampleRate: number;
  readonly samples = undefined;
  readonly #process: FfmpegProcess;
  readonly #samples = new Int16Array(blockSamples);
  readonly #block = new Float32Array(blockSamples);
  /** The first half of a sample whose other half has not come yet. */
  #half: number | undefined;

  constructor(path: string, options: FfmpegOptions) {
    const { sampleRate, maxSeconds, program, timeoutSeconds, signal } = options;
    this.sampleRate = sampleRate;
    this.#process = new FfmpegProcess({
      arguments: argumentsFor(path, sampleRate),
      ...{ program, timeoutSeconds, signal, missing },
      takesBytes: false,
      // 64 s and 2 s at 16 kHz.
      mostAhead: 1 << 21,
      leastBytes: 1 << 16,
      explain: undecodable,
      refuse(received) {
        const seconds = received / 2 / sampleRate;
        return seconds > maxSeconds ? tooLong(seconds, maxSeconds) : undefined;
      },
    });
  }

  get estimatedSeconds(): number | undefined {
    return this.#process.seconds;
  }

  async read(): Promise<Float32Array | undefined> {
    const bytes = new Uint8Array(this.#samples.buffer);
    const start = this.#half === undefined ? 0 : 1;
    if (this.#half !== undefined) bytes[0] = this.#half;
    const read = await this.#process.read(bytes.subarray(start));
    const filled = start + read;
    this.#half = filled % 2 === 1 && read > 0 ? bytes[filled - 1] : undefined;
    const count = Math.floor(filled / 2);
    for (let i = 0; i < count; i++) this.#block[i] = (this.#samples[i] ?? 0) / 32768;
    return count > 0 ? this.#block.subarray(0, count) : undefined;
  }

  close(): Promise<void> {
    return this.#process.close();
  }
}
