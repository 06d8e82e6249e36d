/** `voxpod worker`: takes transcription jobs from RunPod. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { ArgumentError, JobError, messageOf } from '../../lib/errors.js';
import { transcriptionHandler } from '../jobs/transcription.js';
import { createLogger, type Logger } from '../log.js';
import { ModelPool } from '../models/pool.js';
import { ModelStore } from '../models/store.js';
import { readEnvironment } from '../runpod/environment.js';
import { runJob, runWorker } from '../runpod/index.js';
import { addWorkerOptions, type WorkerArguments } from './worker_options.js';

interface Options extends WorkerArguments {
  testInput?: string;
}

export function register(program: Command): void {
  const command = program
    .command('worker')
    .description('take transcription jobs from RunPod, whose URLs are in the environment');
  addWorkerOptions(command)
    .option('--test-input <file>', 'run the one job of this JSON file, print its output and end')
    .action((options: Options) => runCommand(options));
}

async function runCommand(options: Options): Promise<void> {
  const log = createLogger();
  // Before anything is loaded: the usual mistake is to start a worker outside of RunPod.
  if (options.testInput === undefined) readEnvironment();
  const job = options.testInput === undefined ? undefined : await readJob(options.testInput);

  const { device, dtype, threads } = options;
  const pool = new ModelPool({
    store: new ModelStore({ log }),
    maxModels: options.model.length,
    log,
    ...(device === undefined ? {} : { device }),
    ...(dtype === undefined ? {} : { dtype }),
    ...(threads === undefined ? {} : { threads }),
  });
  const models = new Map(options.model.map((model) => [modelName(model), model]));
  const [defaultModel = 'base'] = models.keys();
  const handler = transcriptionHandler({
    pool,
    models,
    defaultModel,
    allowPrivateUrls: process.env['VOXPOD_ALLOW_PRIVATE_URLS'] === '1',
  });
  const preload = async (): Promise<void> => {
    for (const model of models.values()) (await pool.acquireWhisper(model)).release();
  };
  try {
    if (job === undefined) {
      await runWorker({ handler, concurrency: options.concurrency, onStart: preload, log });
    } else {
      await printOutput(job, handler, log);
    }
  } finally {
    await pool.dispose();
  }
}

async function printOutput(
  job: unknown,
  handler: ReturnType<typeof transcriptionHandler>,
  log: Logger,
): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => {
    interrupted.abort(new JobError('JOB_ABORTED', 'Interrupted'));
  });
  const output = await runJob(handler, job, { log, signal: interrupted.signal });
  process.stdout.write(`${JSON.stringify(output, null, 2)}\n`);
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

/** What jobs call a model that was given as a folder or repository: "base" for "x/whisper-base". */
function modelName(model: string): string {
  return basename(model).replace(/^(faster-)?whisper-/, '');
}
