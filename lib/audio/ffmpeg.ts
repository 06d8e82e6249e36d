/** Audio of any format, decoded by ffmpeg. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AudioError, messageOf } from '../errors.js';
import { FfmpegDecoder, type FfmpegOptions } from './ffmpeg_decoder.js';
import type { PcmSource } from './pcm.js';

/**
 * The bytes in a file of their own, which goes when ffmpeg has opened it. On a pipe it could not seek:
 * MP4 and its kin often have their index at the end, and the duration of others is found there.
 */
async function openBytes(bytes: Uint8Array, options: FfmpegOptions): Promise<PcmSource> {
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
    const process = new FfmpegDecoder(path, options);
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
 * A file by its path, or encoded bytes, as mono samples between -1 and 1 at the rate of the options. What ffmpeg says of the input comes with
 * the reading: AudioError AUDIO_INVALID, AUDIO_TOO_LARGE, FFMPEG_MISSING, FFMPEG_FAILED, or the
 * signal's reason where that aborts.
 */
export async function openFfmpeg(
  input: string | Uint8Array,
  options: FfmpegOptions,
): Promise<PcmSource> {
  options.signal?.throwIfAborted();
  return typeof input === 'string' ? new FfmpegDecoder(input, options) : openBytes(input, options);
}
