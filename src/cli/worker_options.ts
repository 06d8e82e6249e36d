/** Options that the commands with a worker share: `voxpod worker` and `voxpod serve`. */
import { InvalidArgumentError, Option, type Command } from 'commander';

const DTYPES = ['auto', 'float32', 'bfloat16', 'float16', 'int8'] as const;

export interface WorkerArguments {
  model: string[];
  device: string;
  dtype: (typeof DTYPES)[number];
  threads?: number;
  concurrency: number | 'auto';
  maxConcurrency: number;
}

export function addWorkerOptions(command: Command): Command {
  return command
    .option(
      '--model <name...>',
      'models to load before the first job, by name or folder; jobs that name none get the first',
      ['base'],
    )
    .option('--device <device>', 'cpu, cuda or cuda:N', 'cpu')
    .addOption(
      new Option('--dtype <dtype>', 'type to compute in; int8: 8-bit weights, on a CPU')
        .choices(DTYPES)
        .default('auto' as const),
    )
    .option('--threads <count>', 'CPU threads; default one for each core', positiveInteger)
    .option(
      '--concurrency <count|auto>',
      'jobs held at once; auto keeps the engine busy and hoards none',
      (text: string) => (text === 'auto' ? text : positiveInteger(text)),
      'auto' as const,
    )
    .option('--max-concurrency <count>', 'the most that auto goes up to', positiveInteger, 16);
}

/** The options as a command line of `voxpod worker`. */
export function workerCommandLine(options: WorkerArguments): string[] {
  const { model, device, dtype, threads, concurrency, maxConcurrency } = options;
  return [
    ...['--model', ...model, '--device', device, '--dtype', dtype],
    ...['--concurrency', String(concurrency), '--max-concurrency', String(maxConcurrency)],
    ...(threads === undefined ? [] : ['--threads', String(threads)]),
  ];
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('Expected an integer of at least 1.');
  }
  return value;
}
