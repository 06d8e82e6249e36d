/** What the tests' isolated processes run: jobs say what to do, and how to die. */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { JobError } from '../../../lib/errors.js';
import type { CreateHandler, EngineLoad, JobContext } from '../../../src/runpod/index.js';

export interface EngineSettings {
  /** Dies on start while the file is there. */
  dieOnStart?: boolean;
  failOnStart?: string;
  failedCheck?: string;
  load?: EngineLoad;
}

export interface EngineInput {
  square?: number;
  sleep?: number;
  die?: 'SIGSEGV' | 'abort' | 'exit' | 'throw' | 'disconnect';
  /** Never gives the thread back. */
  block?: boolean;
  /** Takes no notice of an abort. */
  deaf?: boolean;
  fail?: 'coded' | 'text' | 'function' | 'ring';
  /** Chunks; dies after as many as `dieAfter`. */
  chunks?: number;
  dieAfter?: number;
  progress?: number;
  /** A file that gets the time of the abort. */
  note?: string;
  say?: string;
  dated?: boolean;
}

export const createHandler: CreateHandler = ({ settings, log, report }) => {
  const { dieOnStart, failOnStart, failedCheck, load } = (settings ?? {}) as EngineSettings;
  if (dieOnStart === true) {
    process.stderr.write('the engine cannot stand this machine\n');
    process.kill(process.pid, 'SIGSEGV');
  }
  if (failOnStart !== undefined) throw new Error(failOnStart);
  log.info(`engine ${process.pid}`);
  if (load) report(load);
  return {
    handler: (job, context) => {
      const input = job.input as EngineInput;
      return input.chunks === undefined ? run(input, context) : stream(input, context);
    },
    checks: [
      {
        name: 'gpu',
        run: () => {
          if (failedCheck !== undefined) throw new Error(failedCheck);
        },
      },
    ],
  };
};

async function run(input: EngineInput, context: JobContext): Promise<unknown> {
  const { signal, progress, log } = context;
  const { square = 0, sleep, note } = input;
  if (note !== undefined) {
    writeFileSync(`${note}.started`, '');
    signal.addEventListener('abort', () => writeFileSync(note, String(Date.now())));
  }
  if (input.say !== undefined) {
    log.info(`log of ${input.say}`);
    process.stdout.write(`output of ${input.say}\n`);
    process.stderr.write(`errors of ${input.say}\n`);
  }
  for (let i = 1; i <= (input.progress ?? 0); i += 1) progress(i);
  if (input.deaf === true) await delay(60_000);
  if (sleep !== undefined) await delay(sleep, undefined, { signal });
  if (input.block === true) for (;;);
  if (input.die !== undefined) await die(input.die);
  switch (input.fail) {
    case 'coded':
      throw new JobError('AUDIO_EMPTY', 'nothing to hear', { cause: new TypeError('inner') });
    case 'text':
      throw 'only text';
    case 'function':
      return () => 1;
    case 'ring': {
      const ring: { self?: unknown } = {};
      ring.self = ring;
      return ring;
    }
    case undefined:
      break;
  }
  if (input.dated === true) return { at: new Date(0), left: () => 1, gone: undefined };
  return { squared: square ** 2 };
}

async function* stream(input: EngineInput, { signal }: JobContext): AsyncGenerator {
  try {
    for (let i = 0; i < (input.chunks ?? 0); i += 1) {
      if (input.dieAfter === i) await die('SIGSEGV');
      if (input.sleep !== undefined) await delay(input.sleep, undefined, { signal });
      yield i;
    }
  } finally {
    if (input.note !== undefined) writeFileSync(input.note, String(Date.now()));
  }
}

async function die(how: NonNullable<EngineInput['die']>): Promise<void> {
  process.stderr.write('last words of the engine\n');
  switch (how) {
    case 'SIGSEGV':
      process.kill(process.pid, 'SIGSEGV');
      break;
    case 'abort':
      return process.abort();
    case 'exit':
      return process.exit(3);
    case 'throw':
      setImmediate(() => {
        throw new Error('thrown by nobody');
      });
      break;
    case 'disconnect':
      process.removeAllListeners('disconnect');
      process.disconnect();
  }
  await delay(60_000);
}
