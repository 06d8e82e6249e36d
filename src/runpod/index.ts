/**
 * A RunPod serverless worker in a few lines, for any handler:
 *
 *     import { runWorker } from 'voxpod/runpod';
 *     await runWorker({ handler: async (job, { signal, progress }) => ({ echo: job.input }) });
 *
 * Nothing native is loaded here.
 */
import { ArgumentError, invalidArgument, VoxpodError } from '../../lib/errors.js';
import { createLogger, type Logger } from '../log.js';
import { packageVersion } from '../version.js';
import { RunpodClient } from './client.js';
import { readEnvironment } from './environment.js';
import { reportUnhealthy, runChecks, UnhealthyError, type FitnessCheck } from './fitness.js';
import { Heartbeat } from './heartbeat.js';
import type { Handler, Overflow } from './job.js';
import type { RetryPolicy } from './retry.js';
import { WorkerLoop } from './worker.js';

export type { Logger, LogLevel } from '../log.js';
export { UnhealthyError, type FitnessCheck } from './fitness.js';
export { isolatedHandler, type Isolated, type IsolatedOptions } from './isolated.js';
export type { CreateHandler, IsolatedContext, IsolatedWork } from './isolated_module.js';
export type { EngineLoad } from './isolated_protocol.js';
export type { RestartPolicy } from './isolated_supervisor.js';
export type { Handler, Job, JobContext, Overflow } from './job.js';
export type { RetryPolicy } from './retry.js';
export { runJob } from './run_job.js';

export interface WorkerOptions {
  handler: Handler;
  /** Jobs run at once; a function is asked before each take with the number that runs. Default 1. */
  concurrency?: number | ((running: number) => number);
  /** Run in order before `onStart`. One that throws ends the worker, which tells the platform why. */
  checks?: readonly FitnessCheck[];
  /** Runs before the first job is taken: load models here. It counts as the last of the checks. */
  onStart?: (signal: AbortSignal) => void | Promise<void>;
  /** Put the chunks of a stream into the job's result too. Default false. */
  aggregateStream?: boolean;
  /** Ask RunPod for a fresh worker after the first job, and end. Default false. */
  refreshWorker?: boolean;
  /**
   * Milliseconds that running jobs get to finish after SIGTERM, SIGINT or `signal`. Default 10
   * minutes: RunPod does not say when it kills, and a job cut off by us is lost as surely.
   */
  drainMs?: number;
  /** Largest result in bytes of JSON; a larger one goes to `overflow`. Default 20 MiB. */
  maxResultBytes?: number;
  /** Keeps outputs that are too large for the platform. Without it such a job fails. */
  overflow?: Overflow;
  /** For results that the platform does not take. Default: ten minutes, waits of at most 20 s. */
  retry?: RetryPolicy;
  /** Ends the worker as SIGTERM does; with a VoxpodError as its reason the worker then rejects with it. */
  signal?: AbortSignal;
  /** End on SIGTERM and SIGINT. Default true. */
  handleSignals?: boolean;
  /** Where RUNPOD_* is read. Default process.env. */
  env?: NodeJS.ProcessEnv;
  log?: Logger;
}

/**
 * Takes jobs from the RunPod URLs in the environment until it is told to end (SIGTERM, SIGINT or
 * `signal`), then finishes what it has taken and resolves. A second signal aborts running jobs.
 * @throws ArgumentError INVALID_ARGUMENT for a wrong option or environment; UnhealthyError where a
 * check or `onStart` throws, with that as its cause; a VoxpodError that `signal` was aborted with.
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  checkOptions(options);
  const env = options.env ?? process.env;
  const log = options.log ?? createLogger({ env });
  const environment = readEnvironment(env);
  const version = packageVersion();
  const reporter = { workerId: environment.workerId, hostname: environment.hostname, version };
  const client = new RunpodClient(environment, {
    log,
    reporter,
    ...(options.retry === undefined ? {} : { retry: options.retry }),
    ...(options.maxResultBytes === undefined ? {} : { maxResultBytes: options.maxResultBytes }),
  });
  const heartbeat =
    environment.pingUrl === undefined
      ? undefined
      : new Heartbeat(
          {
            url: environment.pingUrl,
            intervalMs: environment.pingIntervalMs,
            authorization: environment.apiKey,
            version,
          },
          log,
        );
  const loop = new WorkerLoop({
    client,
    handler: options.handler,
    concurrency: options.concurrency ?? 1,
    aggregateStream: options.aggregateStream ?? false,
    refreshWorker: options.refreshWorker ?? false,
    drainMs: options.drainMs ?? 600_000,
    overflow: options.overflow,
    reporter,
    log,
    onJobs: (ids) => heartbeat?.setJobs(ids),
  });

  const stopping = new AbortController();
  const stop = (): void => {
    stopping.abort();
    loop.stop();
  };
  const signals = (options.handleSignals ?? true) ? (['SIGTERM', 'SIGINT'] as const) : [];
  for (const name of signals) process.on(name, stop);
  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted) stop();
  try {
    await becomeReady(options, stopping.signal);
    if (!stopping.signal.aborted) {
      // As RunPod's SDK does: a worker that cannot take jobs yet does not call itself alive.
      heartbeat?.start();
      log.info(`Worker ${environment.workerId} is ready (voxpod ${version}).`);
    }
    await loop.run();
    if (options.signal?.reason instanceof VoxpodError) throw options.signal.reason;
    log.info('Worker has ended.');
  } catch (error) {
    if (error instanceof UnhealthyError) {
      const { pingUrl, apiKey: authorization } = environment;
      await reportUnhealthy(error, { pingUrl, authorization, version, env, log });
    }
    throw error;
  } finally {
    for (const name of signals) process.off(name, stop);
    options.signal?.removeEventListener('abort', stop);
    await heartbeat?.stop();
  }
}

/** Resolves when all checks are through, or without waiting for them when the worker must end. */
async function becomeReady(options: WorkerOptions, stopping: AbortSignal): Promise<void> {
  const { checks = [], onStart } = options;
  const start: FitnessCheck[] = onStart ? [{ name: 'start', run: onStart }] : [];
  const checked = runChecks([...checks, ...start], stopping);
  const stopped = new Promise<void>((resolve) => {
    if (stopping.aborted) resolve();
    stopping.addEventListener('abort', () => resolve(), { once: true });
  });
  // What a check throws after the stop was made to fail by it, and no fault of the machine.
  await Promise.race([
    checked.catch((error: unknown) => {
      if (!stopping.aborted) throw error;
    }),
    stopped,
  ]);
}

function checkOptions(options: WorkerOptions): void {
  if (typeof options.handler !== 'function') {
    throw invalidArgument('handler', 'a function', options.handler);
  }
  const { concurrency, checks } = options;
  if (checks?.some((check) => typeof check.name !== 'string' || typeof check.run !== 'function')) {
    throw new ArgumentError('INVALID_ARGUMENT', 'Expected checks with a name and a function run');
  }
  if (typeof concurrency === 'number' && !(Number.isInteger(concurrency) && concurrency >= 1)) {
    throw invalidArgument('concurrency', 'an integer of at least 1', concurrency);
  }
  for (const name of ['drainMs', 'maxResultBytes'] as const) {
    const value = options[name];
    if (value !== undefined && !(value > 0)) {
      throw new ArgumentError(
        'INVALID_ARGUMENT',
        `Expected a number above 0 for ${name} but received ${String(value)}`,
      );
    }
  }
}
