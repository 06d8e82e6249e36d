/**
 * An ffmpeg child process with bytes on its pipes: bounded in time, at the pace of who reads, killed
 * on abort.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AudioError } from '../errors.js';

export interface FfmpegRun {
  /** Name or path of the program. */
  program: string;
  arguments: readonly string[];
  /** Seconds that the program may keep its caller waiting, in all. */
  timeoutSeconds: number;
  signal?: AbortSignal | undefined;
  /** Whether it takes bytes by `write`. */
  takesBytes: boolean;
  /** Bytes that are taken from it before somebody asks for them; Infinity for no limit. */
  mostAhead: number;
  /** Fewer bytes are not handed out before the end. */
  leastBytes: number;
  /** What is said where there is no such program. */
  missing: string;
  /** What its complaints and its status come to, for someone who does not read ffmpeg's. */
  explain: (complaints: string, status: number | null) => AudioError;
  /** Why no more bytes are wanted than so many; undefined where they are. */
  refuse?: (received: number) => AudioError | undefined;
}

/** How ffmpeg is installed, for a message. */
export const installFfmpeg =
  'Install it (Debian, Ubuntu: "apt-get install ffmpeg"; macOS: "brew install ffmpeg")';

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

/** The last of the complaints, or the status. */
export function lastComplaint(complaints: string, status: number | null): string {
  return complaints.trim().split('\n').at(-1)?.trim() || `status ${status}`;
}

/** Milliseconds without output after which the program waits for input, and the longest wait. */
const settled = 20;
const longestSettling = 2000;

/** One call at a time. */
export class FfmpegProcess {
  readonly #run: FfmpegRun;
  readonly #child: ChildProcess;
  readonly #log = new Log();
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
    this.#stop(this.#run.signal?.reason);
  };

  constructor(run: FfmpegRun) {
    this.#run = run;
    this.#patience = run.timeoutSeconds * 1000;
    this.#child = spawn(run.program, run.arguments, {
      stdio: [run.takesBytes ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    this.#over = this.#listen();
    this.#hold(false);
  }

  /** Seconds of the input as its container has them. */
  get seconds(): number | undefined {
    return this.#log.seconds;
  }

  /** Fills `bytes` with what comes out, once there is enough; gives how many, 0 at the end. */
  async read(bytes: Uint8Array): Promise<number> {
    while (this.#queued < this.#run.leastBytes && !this.#isOver) await this.#wait();
    let filled = 0;
    while (filled < bytes.length) {
      const piece = this.#queue.shift();
      if (piece === undefined) break;
      const part = piece.subarray(0, bytes.length - filled);
      bytes.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) this.#queue.unshift(piece.subarray(part.length));
    }
    this.#queued -= filled;
    if (this.#queued < this.#run.mostAhead) this.#child.stdout?.resume();
    // What came before a failure comes first, whenever the failure was noticed.
    if (filled === 0 && this.#failure !== undefined) throw this.#failure.reason;
    return filled;
  }

  /** All that has come out, which may be nothing yet. */
  take(): Uint8Array {
    const all = Buffer.concat(this.#queue);
    this.#queue = [];
    this.#queued = 0;
    return all;
  }

  /** Gives it bytes, which must not change any more; resolves when it can take further ones. */
  async write(bytes: Uint8Array): Promise<void> {
    const { stdin } = this.#child;
    stdin?.write(bytes);
    while (stdin?.writableNeedDrain === true && !this.#isOver) await this.#wait();
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /**
   * Until it has made of its input what it can, as far as that can be told from outside: it is quiet
   * for a moment, after something came out where `expects` says that something will.
   */
  async settle(expects: boolean): Promise<void> {
    const started = performance.now();
    const first = this.#queued;
    for (let before = -1; !this.#isOver && performance.now() - started < longestSettling;) {
      const isFed = this.#child.stdin?.writableLength === 0;
      const isAwaited = expects && this.#queued === first;
      if (isFed && !isAwaited && this.#received === before) return;
      before = this.#received;
      await sleep(settled);
    }
  }

  /** The end of the input; resolves when the program has ended, and rejects where it failed. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    while (!this.#isOver) await this.#wait();
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /** Ends the program; calls that wait reject. */
  async close(): Promise<void> {
    this.#stop(new AudioError('FFMPEG_FAILED', 'The audio was closed while it was in use.'));
    this.#hold(true);
    await this.#over;
  }

  #stop(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure ??= { reason };
    this.#queue = [];
    this.#queued = 0;
    this.#child.kill('SIGKILL');
    this.#child.stdin?.destroy();
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
    const { timeoutSeconds } = this.#run;
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
    const { stdin, stdout, stderr } = this.#child;
    if (waits) this.#child.ref();
    else this.#child.unref();
    for (const pipe of [stdin, stdout, stderr] as (Socket | null)[]) {
      // One that is closed would wait for a connection, with a listener more each time.
      if (pipe === null || pipe.destroyed) continue;
      if (waits) pipe.ref();
      else pipe.unref();
    }
  }

  /** Resolves when the program has ended, whatever its end. */
  #listen(): Promise<void> {
    const child = this.#child;
    const { signal, mostAhead, leastBytes, refuse, explain, missing } = this.#run;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    // A program that ends early breaks its pipe; its status says why.
    child.stdin?.on('error', () => undefined).on('drain', () => this.#wake());
    child.stdout?.on('data', (bytes: Buffer) => {
      if (this.#failure !== undefined) return;
      this.#queue.push(bytes);
      this.#queued += bytes.length;
      this.#received += bytes.length;
      const refusal = refuse?.(this.#received);
      if (refusal !== undefined) this.#stop(refusal);
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
        else if (killedBy === null) end(explain(this.#log.complaints, status));
        else end(new AudioError('FFMPEG_FAILED', `ffmpeg was ended by ${killedBy}.`));
      });
    });
  }
}
