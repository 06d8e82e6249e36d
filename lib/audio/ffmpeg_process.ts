/**
 * An ffmpeg child process that decodes audio to 16-bit samples on a pipe: bounded in length and
 * time, at the pace of who reads, killed on abort. The options follow openai-whisper's own call, so
 * that the same file gives the same samples.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { AudioError } from '../errors.js';
import { tooLong, type PcmLimits } from './limits.js';
import { blockSamples, type PcmSource } from './pcm.js';

export interface FfmpegOptions extends PcmLimits {
  /** Name or path of the program. */
  program: string;
  /** Hertz of what comes out. */
  sampleRate: number;
  /** Seconds that the program may keep its reader waiting, in all. */
  timeoutSeconds: number;
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

const missing =
  'Decoding this audio needs ffmpeg, which was not found. Install it (Debian, Ubuntu: ' +
  '"apt-get install ffmpeg"; macOS: "brew install ffmpeg"), or give a WAV file of PCM samples.';

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

/** Lines of ffmpeg's log, which come in pieces. */
class Log {
  /** What the input's description gives; nothing where the container does not say. */
  seconds: number | undefined;
  complaints = '';
  #rest = '';

  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-4000);
    for (const line of lines) this.#read(line);
  }

  #read(line: string): void {
    const level = /\[(?:error|fatal|panic)\] /.exec(line);
    if (level !== null) {
      const message = line.slice(0, level.index) + line.slice(level.index + level[0].length);
      this.complaints = `${this.complaints}${message}\n`.slice(-4000);
    }
    // Tags of the file are further in, or without the level.
    const duration = /^\[info\] {3}Duration: (\d+):(\d\d):(\d\d\.\d+)/.exec(line);
    if (duration === null || this.seconds !== undefined) return;
    const [hours = 0, minutes = 0, seconds = 0] = duration.slice(1).map(Number);
    this.seconds = (hours * 60 + minutes) * 60 + seconds;
  }
}

/** Bytes that are taken from the pipe before somebody asks for them: 64 s at 16 kHz. */
const mostAhead = 1 << 21;
/** Fewer are not handed out before the end: 2 s at 16 kHz. */
const leastBytes = 1 << 16;

export class FfmpegProcess implements PcmSource {
  readonly sampleRate: number;
  readonly samples = undefined;
  readonly #options: FfmpegOptions;
  readonly #child: ChildProcess;
  readonly #log = new Log();
  readonly #samples = new Int16Array(blockSamples);
  readonly #block = new Float32Array(blockSamples);
  #queue: Buffer[] = [];
  /** Bytes in the queue, and in all. */
  #queued = 0;
  #received = 0;
  #failure: { reason: unknown } | undefined;
  #isOver = false;
  #wake: () => void = () => undefined;
  readonly #over: Promise<void>;
  /** Milliseconds that are left of the timeout. */
  #patience: number;
  readonly #onAbort = (): void => {
    this.#stop(this.#options.signal?.reason);
  };

  constructor(path: string, options: FfmpegOptions) {
    this.sampleRate = options.sampleRate;
    this.#options = options;
    this.#patience = options.timeoutSeconds * 1000;
    this.#child = spawn(options.program, argumentsFor(path, options.sampleRate), {
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    this.#over = this.#listen();
    this.#hold(false);
  }

  get estimatedSeconds(): number | undefined {
    return this.#log.seconds;
  }

  async read(): Promise<Float32Array | undefined> {
    while (this.#queued < leastBytes && !this.#isOver) await this.#wait();
    const bytes = new Uint8Array(this.#samples.buffer);
    let filled = 0;
    while (filled < bytes.length) {
      const piece = this.#queue.shift();
      if (piece === undefined) break;
      const part = piece.subarray(0, bytes.length - filled);
      bytes.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) this.#queue.unshift(piece.subarray(part.length));
    }
    // Half a sample waits for its other half.
    if (filled % 2 === 1) {
      filled -= 1;
      if (!this.#isOver) this.#queue.unshift(Buffer.of(bytes[filled] ?? 0));
    }
    this.#queued = this.#queue.reduce((sum, { length }) => sum + length, 0);
    if (this.#queued < mostAhead) this.#child.stdout?.resume();
    const count = filled / 2;
    for (let i = 0; i < count; i++) this.#block[i] = (this.#samples[i] ?? 0) / 32768;
    if (count > 0) return this.#block.subarray(0, count);
    // What was decoded before a failure came first, whenever the failure was noticed.
    if (this.#failure !== undefined) throw this.#failure.reason;
    return undefined;
  }

  async close(): Promise<void> {
    this.#stop(new AudioError('FFMPEG_FAILED', 'The audio was closed while it was read.'));
    this.#hold(true);
    await this.#over;
  }

  #stop(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure ??= { reason };
    this.#queue = [];
    this.#queued = 0;
    this.#child.kill('SIGKILL');
    this.#child.stdout?.destroy();
    this.#wake();
  }

  /** Until something comes. The time counts as ffmpeg's. */
  async #wait(): Promise<void> {
    if (this.#failure !== undefined) {
      this.#hold(true);
      await this.#over;
      return;
    }
    const started = performance.now();
    const { timeoutSeconds } = this.#options;
    const timer = setTimeout(() => {
      const message = `ffmpeg did not finish within ${timeoutSeconds} s. Give shorter audio or raise timeoutSeconds.`;
      this.#stop(new AudioError('FFMPEG_FAILED', message));
    }, this.#patience);
    this.#hold(true);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#hold(false);
    clearTimeout(timer);
    this.#patience = Math.max(0, this.#patience - (performance.now() - started));
  }

  /** Whether Node waits for the program: not for one that nobody reads from any more. */
  #hold(waits: boolean): void {
    const { stdout, stderr } = this.#child;
    for (const handle of [this.#child, stdout as Socket, stderr as Socket]) {
      if (waits) handle.ref();
      else handle.unref();
    }
  }

  /** Resolves when the program has ended, whatever its end. */
  #listen(): Promise<void> {
    const child = this.#child;
    const { signal, maxSeconds, sampleRate } = this.#options;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    child.stdout?.on('data', (bytes: Buffer) => {
      if (this.#failure !== undefined) return;
      this.#queue.push(bytes);
      this.#queued += bytes.length;
      this.#received += bytes.length;
      const seconds = this.#received / 2 / sampleRate;
      if (seconds > maxSeconds) this.#stop(tooLong(seconds, maxSeconds));
      if (this.#queued >= mostAhead) child.stdout?.pause();
      if (this.#queued >= leastBytes) this.#wake();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log.add(text);
    });
    return new Promise((resolve) => {
      const end = (failure: AudioError | undefined): void => {
        if (failure !== undefined) this.#failure ??= { reason: failure };
        this.#isOver = true;
        signal?.removeEventListener('abort', this.#onAbort);
        this.#wake();
        resolve();
      };
      child.on('error', (error: NodeJS.ErrnoException) => {
        const gone = error.code === 'ENOENT' || error.code === 'EACCES';
        const [code, message] = gone
          ? (['FFMPEG_MISSING', missing] as const)
          : (['FFMPEG_FAILED', `ffmpeg did not start: ${error.message}`] as const);
        end(new AudioError(code, message, { cause: error }));
      });
      child.on('close', (status, killedBy) => {
        if (status === 0) end(undefined);
        else if (killedBy === null) end(undecodable(this.#log.complaints, status));
        else end(new AudioError('FFMPEG_FAILED', `ffmpeg was ended by ${killedBy}.`));
      });
    });
  }
}
