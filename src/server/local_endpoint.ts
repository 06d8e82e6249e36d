/** An endpoint on this machine, whole: the local platform, and `voxpod worker` in a process behind it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { backoff, pause } from '../runpod/retry.js';
import { LocalPlatform, type PlatformOptions } from './platform.js';

export interface LocalEndpointOptions extends PlatformOptions {
  /** Arguments of `voxpod worker`. */
  worker: readonly string[];
  /** Gets lines about the worker's process; what it writes itself goes to standard error. */
  say(line: string): void;
}

const WORKER_ID = 'local-worker';
const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));

const RESTART = { firstMs: 1000, maxMs: 30_000 };
/** A worker that lived this long is no crash loop. */
const STABLE_MS = 60_000;
/** For running jobs to finish, and for their handlers to notice that they must not. */
const DRAIN_MS = 10_000;
const ABORT_MS = 5000;

/**
 * Runs `action` beside a platform and its worker, and ends both afterwards. The signal it gets is
 * aborted with `signal`, or with an error when the worker cannot be started. A worker that dies later
 * is started again.
 */
export async function withLocalEndpoint<Result>(
  options: LocalEndpointOptions,
  signal: AbortSignal,
  action: (platform: LocalPlatform, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const platform = await LocalPlatform.start({
    webhook: { onFailure: (line) => options.say(line) },
    ...options,
  });
  const ending = new AbortController();
  const onAbort = (): void => ending.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const worker = new WorkerProcess(platform, options, ending);
  try {
    return await action(platform, ending.signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
    ending.abort();
    await worker.ended();
    await platform.close();
  }
}

/** Keeps a worker's process alive until `ending` is aborted, which it does itself when it gives up. */
class WorkerProcess {
  readonly #platform: LocalPlatform;
  readonly #options: LocalEndpointOptions;
  readonly #ending: AbortController;
  readonly #supervision: Promise<void>;
  #child: ChildProcess | undefined;

  constructor(platform: LocalPlatform, options: LocalEndpointOptions, ending: AbortController) {
    this.#platform = platform;
    this.#options = options;
    this.#ending = ending;
    this.#supervision = this.#supervise().catch((error: unknown) => ending.abort(error));
  }

  /** Resolves when the process has ended: by itself, after SIGTERM, or killed. */
  async ended(): Promise<void> {
    const child = this.#child;
    const done = new AbortController();
    const supervised = this.#supervision.finally(() => done.abort());
    // The second SIGTERM aborts the running jobs.
    child?.kill('SIGTERM');
    await pause(DRAIN_MS, done.signal);
    child?.kill('SIGTERM');
    await pause(ABORT_MS, done.signal);
    child?.kill('SIGKILL');
    await supervised;
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#ending;
    let wasReady = false;
    let deaths = 0;
    while (!signal.aborted) {
      const started = performance.now();
      const how = await this.#run();
      wasReady ||= this.#platform.workers.ready > 0;
      this.#platform.workerEnded(WORKER_ID);
      if (signal.aborted) return;
      if (!wasReady) {
        this.#ending.abort(new Error(`the worker ended with ${how} before it took a job`));
        return;
      }
      deaths = performance.now() - started > STABLE_MS ? 1 : deaths + 1;
      const wait = backoff(deaths, RESTART);
      this.#options.say(
        `The worker ended with ${how}; starting it again in ${(wait / 1000).toFixed(1)} s.`,
      );
      await delay(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Resolves with how the process ended. */
  async #run(): Promise<string> {
    const child = spawn(process.execPath, [CLI, 'worker', ...this.#options.worker], {
      env: this.#environment(),
      // By the channel the worker learns when this process is killed.
      stdio: ['ignore', process.stderr, process.stderr, 'ipc'],
      // Ctrl-C in a terminal goes to all in its group: the worker's jobs are drained from here.
      detached: true,
    });
    this.#child = child;
    // Also where this process ends in haste: a worker without its platform would ask forever.
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    try {
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
      return signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
    } finally {
      process.off('exit', kill);
    }
  }

  #environment(): NodeJS.ProcessEnv {
    const env = { ...process.env, ...this.#platform.environment(WORKER_ID) };
    // The account's key is no business of the worker's, and without an endpoint it logs plain lines.
    delete env['RUNPOD_API_KEY'];
    delete env['RUNPOD_ENDPOINT_ID'];
    // Its models and temporary files are kept as this user keeps them.
    env['VOXPOD_LOCAL'] = '1';
    return env;
  }
}
