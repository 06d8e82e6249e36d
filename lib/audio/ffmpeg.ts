/**
 * Audio of any format, decoded by an ffmpeg child process: streamed, bounded in length and time,
 * killed on abort. The options follow openai-whisper's own call (16-bit samples on a pipe), so that
 * the same file gives the same samples.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AudioError, messageOf } from '../errors.js';
import { freeArray } from './free.js';
import { tooLong } from './wav.js';

export interface FfmpegOptions {
  /** Name or path of the program. */
  program: string;
  /** Hertz of what comes out. */
  sampleRate: number;
  maxSeconds: number;
  /** Wall time that the program gets. */
  timeoutSeconds: number;
  signal?: AbortSignal | undefined;
}

/** A file, or encoded bytes. */
export type FfmpegInput = { path: string } | { bytes: Uint8Array };

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

const missing =
  'Decoding this audio needs ffmpeg, which was not found. Install it (Debian, Ubuntu: ' +
  '"apt-get install ffmpeg"; macOS: "brew install ffmpeg"), or give a WAV file of PCM samples.';

function argumentsFor(input: FfmpegInput, sampleRate: number): string[] {
  const isFile = 'path' in input;
  return [
    ...['-hide_banner', '-nostdin', '-loglevel', 'error'],
    ...['-protocol_whitelist', isFile ? 'file' : 'pipe', '-format_whitelist', containers],
    // With its protocol named, a path may start with "-" or hold a colon.
    ...['-i', isFile ? `file:${input.path}` : 'pipe:0'],
    ...['-vn', '-sn', '-dn', '-f', 's16le', '-acodec', 'pcm_s16le', '-ac', '1'],
    ...['-ar', String(sampleRate), 'pipe:1'],
  ];
}

/** Collects little-endian 16-bit samples that arrive in pieces of any size. */
class SampleCollector {
  static readonly #blockBytes = 1 << 20;
  readonly #blocks: Uint8Array[] = [];
  /** Bytes taken of the last block. */
  #used = SampleCollector.#blockBytes;
  #bytes = 0;

  get length(): number {
    return Math.floor(this.#bytes / 2);
  }

  add(piece: Uint8Array): void {
    this.#bytes += piece.length;
    for (let at = 0; at < piece.length;) {
      let block = this.#blocks.at(-1);
      if (block === undefined || this.#used === block.length) {
        block = new Uint8Array(SampleCollector.#blockBytes);
        this.#blocks.push(block);
        this.#used = 0;
      }
      const part = piece.subarray(at, at + block.length - this.#used);
      block.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
    }
  }

  /** The samples as numbers between -1 and 1; the collected blocks are freed on the way. */
  async take(): Promise<Float32Array> {
    const samples = new Float32Array(this.length);
    for (let at = 0; at < samples.length;) {
      const block = this.#blocks.shift();
      if (block === undefined) break;
      const values = new Int16Array(block.buffer);
      const count = Math.min(values.length, samples.length - at);
      for (let i = 0; i < count; i++) samples[at + i] = (values[i] ?? 0) / 32768;
      at += count;
      freeArray(block);
      await nextTurn();
    }
    return samples;
  }
}

/** What ffmpeg's complaints come to, for someone who does not read ffmpeg's. */
function undecodable(complaints: string, status: number | null): AudioError {
  const last = complaints.trim().split('\n').at(-1)?.trim() ?? '';
  const reason = complaints.includes('not on whitelist')
    ? 'it is not in a format for sound'
    : `ffmpeg says "${last || `status ${status}`}"`;
  return new AudioError(
    'AUDIO_INVALID',
    `The audio cannot be decoded: ${reason}. Check that the file is whole and is an audio file.`,
  );
}

function run(input: FfmpegInput, options: FfmpegOptions): Promise<Float32Array> {
  const { program, sampleRate, maxSeconds, timeoutSeconds, signal } = options;
  return new Promise((resolve, reject) => {
    const collector = new SampleCollector();
    let complaints = '';
    let failure: unknown;
    const child = spawn(program, argumentsFor(input, sampleRate), {
      stdio: ['path' in input ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      windowsHide: true,
    });
    const stop = (reason: unknown): void => {
      failure ??= reason;
      child.kill('SIGKILL');
    };
    const onAbort = (): void => {
      stop(signal?.reason);
    };
    const timer = setTimeout(() => {
      stop(
        new AudioError(
          'FFMPEG_FAILED',
          `ffmpeg did not finish within ${timeoutSeconds} s. Give shorter audio or raise timeoutSeconds.`,
        ),
      );
    }, timeoutSeconds * 1000);
    signal?.addEventListener('abort', onAbort, { once: true });
    const settle = (action: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      action();
    };

    child.on('error', (error: NodeJS.ErrnoException) => {
      const gone = error.code === 'ENOENT' || error.code === 'EACCES';
      const reason = gone
        ? new AudioError('FFMPEG_MISSING', missing, { cause: error })
        : new AudioError('FFMPEG_FAILED', `ffmpeg did not start: ${error.message}`, {
            cause: error,
          });
      settle(() => {
        reject(reason);
      });
    });
    child.stdout?.on('data', (bytes: Buffer) => {
      collector.add(bytes);
      if (collector.length > maxSeconds * sampleRate) {
        stop(tooLong(collector.length / sampleRate, maxSeconds));
      }
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaints = (complaints + text).slice(-4000);
    });
    // ffmpeg may close its input early: what it thinks of it is in its exit status.
    child.stdin?.on('error', () => undefined);
    if ('bytes' in input) child.stdin?.end(input.bytes);

    child.on('close', (status, killedBy) => {
      settle(() => {
        if (failure !== undefined) {
          reject(failure);
        } else if (status === 0) {
          resolve(collector.take());
        } else if (killedBy !== null) {
          reject(new AudioError('FFMPEG_FAILED', `ffmpeg was ended by ${killedBy}.`));
        } else {
          reject(undecodable(complaints, status));
        }
      });
    });
  });
}

/** MP4 and its kin often keep their index at the end, which cannot be reached on a pipe. */
function needsSeeking(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(4, 8)).toString('latin1') === 'ftyp';
}

async function runOnFile(bytes: Uint8Array, options: FfmpegOptions): Promise<Float32Array> {
  let folder: string | undefined;
  try {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-audio-'));
    const path = join(folder, 'audio');
    await writeFile(path, bytes, { mode: 0o600, signal: options.signal });
    return await run({ path }, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof AudioError) throw error;
    throw new AudioError(
      'FFMPEG_FAILED',
      `The audio could not be laid down for ffmpeg in ${tmpdir()} (${messageOf(error)}).`,
      { cause: error },
    );
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Decodes to mono samples between -1 and 1.
 * @throws AudioError AUDIO_INVALID, AUDIO_EMPTY, AUDIO_TOO_LARGE, FFMPEG_MISSING, FFMPEG_FAILED;
 * the signal's reason where that aborts.
 */
export async function decodeWithFfmpeg(
  input: FfmpegInput,
  options: FfmpegOptions,
): Promise<Float32Array> {
  options.signal?.throwIfAborted();
  const samples =
    'bytes' in input && needsSeeking(input.bytes)
      ? await runOnFile(input.bytes, options)
      : await run(input, options);
  if (samples.length === 0) {
    throw new AudioError('AUDIO_EMPTY', 'The file decodes to no samples at all.');
  }
  return samples;
}
