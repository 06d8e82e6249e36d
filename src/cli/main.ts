#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { ArgumentError, ModelError, VoxpodError, messageOf } from '../../lib/errors.js';
import { packageVersion } from '../version.js';
import { Interrupted } from './interrupt.js';

/** One module for each command; a command is imported only when it runs or helps. */
interface CommandModule {
  register(program: Command): void;
}

const COMMANDS: Record<string, () => Promise<CommandModule>> = {
  setup: () => import('./setup.js'),
  info: () => import('./info.js'),
  transcribe: () => import('./transcribe.js'),
  speak: () => import('./speak.js'),
  worker: () => import('./worker.js'),
  serve: () => import('./serve.js'),
  submit: () => import('./submit.js'),
  schema: () => import('./schema.js'),
  models: () => import('./models.js'),
  cache: () => import('./cache.js'),
  doctor: () => import('./doctor.js'),
};

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

async function main(argv: string[]): Promise<void> {
  const program = new Command('voxpod')
    .description(
      'Speech worker for RunPod serverless; transcribes with Whisper, speaks with F5-TTS',
    )
    .version(packageVersion(), '-V, --version')
    .option('--verbose', 'print the stack of an error')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'voxpod: ')) });
  const named = argv.find((argument) => !argument.startsWith('-')) ?? '';
  const wanted = Object.hasOwn(COMMANDS, named) ? [named] : Object.keys(COMMANDS);
  for (const name of wanted) (await COMMANDS[name]?.())?.register(program);
  if (argv.length === 0) program.help({ error: true });
  await program.parseAsync(argv, { from: 'user' });
}

/** Prints what went wrong and returns the exit code for it. */
function report(error: unknown, verbose: boolean): number {
  // Commander has printed its own.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  const code = error instanceof VoxpodError ? ` (${error.code})` : '';
  process.stderr.write(`voxpod: ${messageOf(error)}${code}\n`);
  if (verbose && error instanceof Error) process.stderr.write(`${stackOf(error)}\n`);
  if (error instanceof Interrupted) return error.exitCode;
  return isUsage(error) ? EXIT_USAGE : EXIT_FAILURE;
}

/** A job's unknown model is a JobError: not the command line's fault. */
function isUsage(error: unknown): boolean {
  if (error instanceof ArgumentError) return true;
  return error instanceof ModelError && error.code === 'MODEL_UNKNOWN';
}

function stackOf(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\nCaused by: ${stackOf(error.cause)}` : stack;
}

// A reader that has seen enough (`voxpod ... | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILURE);
});

try {
  await main(process.argv.slice(2));
} catch (error) {
  const verbose = process.argv.includes('--verbose') || process.env['VOXPOD_DEBUG'] === '1';
  process.exitCode = report(error, verbose);
  // runpod-sdk's HTTP client leaves its timeout running after a network error. Without one like it
  // the process ends before this fires.
  setTimeout(() => process.exit(), 500).unref();
}
