/**
 * Entry point of the process that an isolated handler runs in: loads the module it is told and runs
 * the parent's jobs. It lives and dies by its parent's word.
 */
import { Worker } from 'node:worker_threads';
import { messageOf } from '../../lib/errors.js';
import { compiledFile } from '../../lib/package_root.js';
import type { Logger, LogLevel } from '../log.js';
import { runChecks, UnhealthyError } from './fitness.js';
import { chunksOf, moduleHandler, type IsolatedWork } from './isolated_module.js';
import {
  isMessage,
  packError,
  plain,
  unpackError,
  type ChildMessage,
  type ParentMessage,
} from './isolated_protocol.js';
import { generatorOf, type Job } from './job.js';

interface ChildJob {
  controller: AbortController;
  chunks: AsyncIterator<unknown> | undefined;
  /** The newest report, until it has left. */
  progress: { value: unknown } | undefined;
}

const jobs = new Map<number, ChildJob>();
const stopping = new AbortController();
let work: IsolatedWork | undefined;

function send(message: ChildMessage): void {
  // Without its parent this process is about to end anyway.
  process.send?.(message, undefined, {}, () => undefined);
}

function loggerFor(requestId: string | null): Logger {
  const emit = (level: Lowercase<LogLevel>) => (message: string) =>
    send({ type: 'log', level, requestId, message: message });
  return {
    ...{ trace: emit('trace'), debug: emit('debug'), info: emit('info') },
    ...{ warn: emit('warn'), error: emit('error') },
    forRequest: (id) => loggerFor(id),
  };
}

async function start(module: string, settings: unknown): Promise<void> {
  try {
    work = await moduleHandler(await import(module), {
      settings,
      log: loggerFor(null),
      report: (load) => send({ type: 'load', load }),
      signal: stopping.signal,
    });
    await runChecks(work.checks ?? [], stopping.signal);
    send({ type: 'ready' });
  } catch (error) {
    const unhealthy = error instanceof UnhealthyError;
    const check = unhealthy ? error.check : 'start';
    send({ type: 'failed', check, error: packError(unhealthy ? error.cause : error) });
  }
}

async function run(key: number, job: Job): Promise<void> {
  const controller = new AbortController();
  const entry: ChildJob = { controller, chunks: undefined, progress: undefined };
  jobs.set(key, entry);
  const log = loggerFor(job.id);
  try {
    const returned: unknown = await work?.handler(job, {
      signal: controller.signal,
      progress: (value) => report(key, value, log),
      log,
    });
    const generator = generatorOf(returned);
    if (generator === undefined) {
      finish(key, { type: 'value', key, value: plain(returned) });
    } else {
      entry.chunks = chunksOf(generator);
      flush(key, entry);
      send({ type: 'stream', key });
    }
  } catch (error) {
    finish(key, { type: 'error', key, error: packError(error) });
  }
}

/** Sends the newest of the reports that come in one turn: a busy loop may make thousands. */
function report(key: number, value: unknown, log: Logger): void {
  const entry = jobs.get(key);
  if (entry === undefined) return log.debug('Progress after the end of the job is ignored');
  try {
    const waits = entry.progress !== undefined;
    entry.progress = { value: plain(value) };
    if (!waits) setImmediate(() => flush(key, entry));
  } catch (error) {
    log.warn(`Progress is not reported: ${messageOf(error)}`);
  }
}

function flush(key: number, entry: ChildJob): void {
  if (entry.progress === undefined) return;
  send({ type: 'progress', key, value: entry.progress.value });
  entry.progress = undefined;
}

function finish(key: number, message: ChildMessage): void {
  const entry = jobs.get(key);
  if (entry === undefined) return;
  flush(key, entry);
  jobs.delete(key);
  send(message);
}

async function next(key: number): Promise<void> {
  const entry = jobs.get(key);
  try {
    const step = await entry?.chunks?.next();
    if (entry === undefined || step === undefined) return;
    if (step.done === true) {
      finish(key, { type: 'end', key });
      return;
    }
    const value = plain(step.value);
    flush(key, entry);
    send({ type: 'chunk', key, value });
  } catch (error) {
    // A chunk without a JSON form ends the stream; one that ended itself is not ended again.
    finish(key, { type: 'error', key, error: packError(error) });
    await entry?.chunks?.return?.().catch(() => undefined);
  }
}

async function leave(key: number): Promise<void> {
  await jobs
    .get(key)
    ?.chunks?.return?.()
    .catch(() => undefined);
  finish(key, { type: 'end', key });
}

async function stop(): Promise<void> {
  stopping.abort();
  try {
    await work?.dispose?.();
  } finally {
    process.exit();
  }
}

function receive(message: ParentMessage): void {
  switch (message.type) {
    case 'start':
      return void start(message.module, message.settings);
    case 'run':
      return void run(message.key, message.job);
    case 'next':
      return void next(message.key);
    case 'return':
      return void leave(message.key);
    case 'abort':
      return jobs.get(message.key)?.controller.abort(unpackError(message.reason));
    case 'ping':
      return send({ type: 'pong', serial: message.serial });
    case 'stop':
      return void stop();
  }
}

if (process.send) {
  // A terminal sends these to the parent, too, and the parent decides what becomes of the jobs.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined);
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  new Worker(compiledFile(import.meta.url, 'src/runpod/isolated_watchdog.js'), {
    workerData: process.ppid,
    name: 'voxpod-watchdog',
  }).unref();
  process.on('message', (message) => {
    if (isMessage(message)) receive(message as ParentMessage);
  });
}
