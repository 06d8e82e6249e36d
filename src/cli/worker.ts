/**
 * `voxpod worker`: takes jobs from RunPod. This process holds the jobs and talks to the platform; the
 * models are loaded and computed in a process of their own, whose crash this one outlives.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ArgumentError, JobError, messageOf } from '../../lib/errors.js';
import { guardDisk } from '../cache/disk_guard.js';
import { systemChecks } from '../jobs/checks.js';
import type { WorkerSettings } from '../jobs/worker_process.js';
import { createLogger } from '../log.js';
import { readEnvironment } from '../runpod/environment.js';
import {
  isolatedHandler,
  runJob,
  runWorker,
  UnhealthyError,
  type Overflow,
} from '../runpod/index.js';
import { describeBucket, readBucketEnvironment } from '../storage/bucket_environment.js';
import { addWorkerOptions, type WorkerArguments } from './worker_options.js';

interface Options extends WorkerArguments {
  testInput?: string;
}

export function register(program: Command): void {
  const command = program
    .command('worker')
    .description('take jobs from RunPod, whose URLs are in the environment');
  addWorkerOptions(command)
    .option('--test-input <file>', 'run the one job of this JSON file, print its output and end')
    .action(({ testInput, ...options }: Options) =>
      testInput === undefined ? takeJobs(options) : runTestInput(testInput, options),
    );
}

async function takeJobs(options: WorkerArguments): Promise<void> {
  // Before anything is loaded: the usual mistake is to start a worker outside of RunPod.
  readEnvironment();
  const guard = guardDisk();
  const log = createLogger();
  endWithParent();
  const { concurrency, maxConcurrency } = options;
  const isolated = isolatedHandler({
    module: new URL('../jobs/worker_process.js', import.meta.url),
    settings: settingsOf(options, guard.scratch),
    env: engineEnvironment(),
    log,
    ...(concurrency === 'auto' ? { maxConcurrency } : { concurrency }),
  });
  // The models load while this process checks the machine; runWorker waits for both.
  isolated.start().catch(() => undefined);
  log.info(guard.line);
  log.info(describeBucket(readBucketEnvironment()));
  try {
    await runWorker({
      handler: isolated.handler,
      concurrency: (running) => isolated.concurrency(running),
      checks: systemChecks({ models: options.model, device: options.device }),
      onStart: () => isolated.start(),
      signal: isolated.broken,
      overflow: overflow(),
      log,
    });
  } catch (error) {
    // The log has said why.
    if (!(error instanceof UnhealthyError)) throw error;
    process.exitCode = 1;
  } finally {
    await isolated.stop();
  }
}

/** One job, without a platform and in this process: a crash may take it down with it. */
async function runTestInput(file: string, options: WorkerArguments): Promise<void> {
  const job = await readJob(file);
  const log = createLogger();
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort(new JobError('JOB_ABORTED', 'Interrupted')));
  const { signal } = interrupted;
  const { createHandler } = await import('../jobs/worker_process.js');
  const settings = settingsOf(options, guardDisk().scratch);
  const work = createHandler({ settings, log, signal, report: () => undefined });
  try {
    for (const check of work.checks ?? []) await check.run(signal);
    const output = await runJob(work.handler, job, { log, signal });
    process.stdout.write(`${JSON.stringify(output, null, 2)}\n`);
  } finally {
    await work.dispose?.();
  }
}

async function readJob(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `--test-input: ${file} could not be read as JSON: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function settingsOf(options: WorkerArguments, scratch: string | undefined): WorkerSettings {
  const { model: models, device, dtype, threads, concurrency, maxConcurrency } = options;
  const shown = concurrency === 'auto' ? `auto, at most ${maxConcurrency}` : String(concurrency);
  return {
    ...{ models, device, dtype, threads: threads ?? 0, concurrency: shown },
    analytics: process.env['VOXPOD_ANALYTICS'] || (scratch && join(scratch, 'analytics.json')),
    startedAt: performance.timeOrigin,
  };
}

/** The platform's key and the account's are no business of the process that reads strangers' audio. */
function engineEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  delete env['RUNPOD_AI_API_KEY'];
  delete env['RUNPOD_API_KEY'];
  return env;
}

/** The S3 client is large, and few workers ever have a result to put there. */
function overflow(): Overflow {
  let made: Promise<Overflow> | undefined;
  return async (job, outputJson, signal) => {
    made ??= Promise.all([import('../jobs/overflow.js'), import('../jobs/job_bucket.js')]).then(
      ([{ bucketOverflow }, { JobBuckets }]) =>
        bucketOverflow({ buckets: JobBuckets.fromEnvironment() }),
    );
    return (await made)(job, outputJson, signal);
  };
}

/**
 * `voxpod serve` keeps a channel open to its worker. Where that ends without a signal, serve was
 * killed, and there is nobody left to take jobs from.
 */
function endWithParent(): void {
  if (!process.connected) return;
  process.on('disconnect', () => process.exit(1));
  // It must not keep a worker that has ended.
  process.channel?.unref();
}
