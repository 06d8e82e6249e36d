/**
 * A handler in a process of its own, which outlives that process's crashes:
 *
 *     const isolated = isolatedHandler({ module: new URL('./engine.js', import.meta.url) });
 *     const { handler, start, broken } = isolated;
 *     await runWorker({ handler, onStart: start, signal: broken, concurrency: 4 });
 *     await isolated.stop();
 *
 * where engine.js exports `createHandler({ settings, log })`, which returns a handler. What crashes
 * there (native code, say) fails one job; the heartbeat, the results and the other jobs live here.
 */
import { setMaxListeners } from 'node:events';
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { invalidArgument, JobError } from '../../lib/errors.js';
import { createLogger, redactor, type Logger } from '../log.js';
import { IsolatedScheduler } from './isolated_scheduler.js';
import { Supervisor, type RestartPolicy } from './isolated_supervisor.js';
import type { Handler } from './job.js';

export interface IsolatedOptions {
  /** What the process runs: a file URL, or an absolute path, of a module as `CreateHandler` says. */
  module: URL | string;
  /** Passed to `createHandler`; anything that can be cloned. */
  settings?: unknown;
  /** The process's environment. Default process.env. */
  env?: NodeJS.ProcessEnv;
  /** Gets the handler's lines, and what the process writes to its standard output and error. */
  log?: Logger;
  /** What `concurrency` is. Default: it follows the load that the module reports. */
  concurrency?: number;
  /** Bound of `concurrency` where it follows the load. Default 16. */
  maxConcurrency?: number;
  /** Milliseconds that a job has to end after its abort. Default 10 s. */
  abortMs?: number;
  /** Default: five starts, with waits of at most half a second, one second, and so on. */
  restart?: RestartPolicy;
}

export interface Isolated {
  /** Runs a job in the process. */
  handler: Handler;
  /**
   * Starts the process and resolves when it is ready, or after `stop`. Calling it early, before
   * runWorker does as its `onStart`, lets the process load while the worker starts.
   * @throws UnhealthyError where a check fails, or the process crashes again and again
   */
  start(): Promise<void>;
  /** How many jobs to hold, for runWorker: follows what the module reports of its engine. */
  concurrency(running: number): number;
  /**
   * Aborts, with the error as its reason, when the process cannot be started any more. As
   * runWorker's `signal` it ends the worker, which rejects with that error.
   */
  readonly broken: AbortSignal;
  /** Ends the process. Jobs still in it fail with JOB_ABORTED. */
  stop(): Promise<void>;
  /** The process that is ready, if any. */
  readonly pid: number | undefined;
}

const RESTART: RestartPolicy = { firstMs: 500, maxMs: 10_000, attempts: 5 };

/** @throws ArgumentError INVALID_ARGUMENT */
export function isolatedHandler(options: IsolatedOptions): Isolated {
  const env = options.env ?? process.env;
  const log = options.log ?? createLogger({ env });
  const redact = redactor(env);
  const broken = new AbortController();
  setMaxListeners(0, broken.signal);
  const scheduler = new IsolatedScheduler({
    log,
    concurrency: options.concurrency,
    maxConcurrency: options.maxConcurrency ?? 16,
    abortMs: options.abortMs ?? 10_000,
    replace: () => supervisor.replace(),
  });
  let started = false;
  const supervisor = new Supervisor(
    {
      module: moduleUrl(options.module),
      settings: options.settings,
      restart: options.restart ?? RESTART,
      ...{ env, log, redact },
    },
    {
      ready: (process) => {
        started = true;
        scheduler.ready(process);
      },
      message: (message) => scheduler.receive(message),
      died: (death) => scheduler.died(death),
      broken: (error) => {
        scheduler.refuse(new JobError('ENGINE_CRASHED', error.message, { cause: error }));
        // Before that, `start` tells.
        if (started) broken.abort(error);
      },
    },
  );
  return {
    handler: (job, context) => {
      // What it rejects with reaches the job by way of `broken`.
      supervisor.start().catch(() => undefined);
      return scheduler.run(job, context);
    },
    start: () => supervisor.start(),
    concurrency: (running) => scheduler.concurrency(running),
    broken: broken.signal,
    stop: async () => {
      scheduler.refuse(
        new JobError(
          'JOB_ABORTED',
          'The worker was shut down before the job was done. Send it again',
        ),
      );
      await supervisor.stop();
    },
    get pid() {
      return scheduler.pid;
    },
  };
}

function moduleUrl(module: unknown): string {
  if (module instanceof URL) return module.href;
  if (typeof module === 'string' && module.startsWith('file:')) return module;
  if (typeof module === 'string' && isAbsolute(module)) return pathToFileURL(module).href;
  throw invalidArgument('module', 'a file URL or an absolute path', module);
}
