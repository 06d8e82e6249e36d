/** Audio of any format, decoded by ffmpeg. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AudioError, messageOf } from '../errors.js';
import { FfmpegProcess, type FfmpegInput, type FfmpegOptions } from './ffmpeg_process.js';
import type { PcmSource } from './pcm.js';

/** MP4 and its kin often keep their index at the end, which cannot be reached on a pipe. */
function needsSeeking(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(4, 8)).toString('latin1') === 'ftyp';
}

/** The bytes in a file of their own, which goes when ffmpeg has opened it. */
async function openOnFile(bytes: Uint8Array, options: FfmpegOptions): Promise<PcmSource> {
  let folder: string | undefined;
  const tidy = async (): Promise<void> => {
    const gone = folder;
    folder = undefined;
    if (gone !== undefined) await rm(gone, { recursive: true, force: true });
  };
  try {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-audio-'));
    const path = join(folder, 'audio');
    await writeFile(path, bytes, { mode: 0o600, signal: options.signal });
    const process = new FfmpegProcess({ path }, options);
    return {
      sampleRate: process.sampleRate,
      samples: undefined,
      get estimatedSeconds() {
        return process.estimatedSeconds;
      },
      async read() {
        try {
          return await process.read();
        } finally {
          await tidy();
        }
      },
      async close() {
        await process.close();
        await tidy();
      },
    };
  } catch (error) {
    await tidy();
    options.signal?.throwIfAborted();
    if (error instanceof AudioError) throw error;
    throw new AudioError(
      'FFMPEG_FAILED',
      `The audio could not be laid down for ffmpeg in ${tmpdir()} (${messageOf(error)}).`,
      { cause: error },
    );
  }
}

/**
 * Mono samples between -1 and 1 at the rate of the options. What ffmpeg says of the input comes with
 * the reading: AudioError AUDIO_INVALID, AUDIO_TOO_LARGE, FFMPEG_MISSING, FFMPEG_FAILED, or the
 * signal's reason where that aborts.
 */
export async function openFfmpeg(input: FfmpegInput, options: FfmpegOptions): Promise<PcmSource> {
  options.signal?.throwIfAborted();
  return 'bytes' in input && needsSeeking(input.bytes)
    ? openOnFile(input.bytes, options)
    : new FfmpegProcess(input, options);
}
