/** Samples encoded by ffmpeg as they come; the same samples become the same bytes. */
import { AudioError } from '../errors.js';
import { FfmpegProcess, installFfmpeg, lastComplaint, type FfmpegRun } from './ffmpeg_process.js';

export type FfmpegFormat = 'flac' | 'mp3' | 'opus';

export type EncoderOptions = Pick<FfmpegRun, 'program' | 'timeoutSeconds' | 'signal'> & {
  format: FfmpegFormat;
  /** Hertz of what goes in, one of `encoderRates` where the format has such. */
  sampleRate: number;
};

/** Hertz that the formats know; flac knows all. */
export const encoderRates: Readonly<Partial<Record<FfmpegFormat, readonly number[]>>> = {
  // MPEG-1, MPEG-2 and MPEG-2.5, layer III.
  mp3: [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
  opus: [8000, 12_000, 16_000, 24_000, 48_000],
};

/** Bits a second, for one channel of speech. A constant rate says how long a stream of MP3 is. */
function bitRate({ format, sampleRate }: EncoderOptions): string {
  if (format === 'opus') return '64k';
  return sampleRate <= 12_000 ? '48k' : sampleRate <= 24_000 ? '96k' : '128k';
}

function codec(options: EncoderOptions): string[] {
  const rate = bitRate(options);
  switch (options.format) {
    case 'flac':
      return ['-c:a', 'flac', '-f', 'flac'];
    case 'mp3':
      // Neither tags nor Xing's frame, which could not be filled in on a pipe.
      return [
        ...['-c:a', 'libmp3lame', '-b:a', rate, '-f', 'mp3'],
        ...['-id3v2_version', '0', '-write_xing', '0'],
      ];
    case 'opus':
      // Pages of 0.2 s instead of 1 s, for who plays it as it comes.
      return ['-c:a', 'libopus', '-b:a', rate, '-f', 'ogg', '-page_duration', '200000'];
  }
}

function argumentsFor(options: EncoderOptions): string[] {
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'level+error'],
    ...['-protocol_whitelist', 'pipe', '-f', 's16le', '-ar', String(options.sampleRate)],
    ...['-ac', '1', '-i', 'pipe:0'],
    // No version, no time and no random number in the file.
    ...['-map_metadata', '-1', '-fflags', '+bitexact', '-flags:a', '+bitexact', '-threads', '1'],
    ...[...codec(options), '-flush_packets', '1', 'pipe:1'],
  ];
}

/** Seconds that ffmpeg may take in before anything comes out. */
const pendingSeconds = 0.4;

export class FfmpegEncoder {
  readonly #process: FfmpegProcess;
  readonly #rate: number;

  constructor(options: EncoderOptions) {
    const { format, sampleRate, program, timeoutSeconds, signal } = options;
    this.#rate = sampleRate;
    this.#process = new FfmpegProcess({
      arguments: argumentsFor(options),
      ...{ program, timeoutSeconds, signal },
      takesBytes: true,
      mostAhead: Infinity,
      leastBytes: 1,
      missing: `Encoding ${format} needs ffmpeg, which was not found. ${installFfmpeg}, or ask for wav or pcm.`,
      explain: (complaints, status) =>
        new AudioError(
          'FFMPEG_FAILED',
          `ffmpeg cannot encode ${format}: it says "${lastComplaint(complaints, status)}". Ask for wav or pcm, or install an ffmpeg that has the encoder.`,
        ),
    });
  }

  /**
   * Takes 16-bit samples, which must not change any more; gives the bytes that came out.
   * @param settle whether to wait until ffmpeg has made of them what it can
   */
  async write(samples: Int16Array, settle: boolean): Promise<Uint8Array> {
    await this.#process.write(
      new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength),
    );
    if (settle) await this.#process.settle(samples.length > pendingSeconds * this.#rate);
    return this.#process.take();
  }

  async finish(): Promise<Uint8Array> {
    await this.#process.end();
    return this.#process.take();
  }

  close(): Promise<void> {
    return this.#process.close();
  }
}
