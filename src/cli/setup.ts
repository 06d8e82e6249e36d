/** voxpod setup: finds libtorch, or installs it. */
import type { Command } from 'commander';
import { findLibtorch, label, libtorchNotFound, type Libtorch } from '../../lib/libtorch.js';
import { installLibtorch } from '../setup/libtorch.js';
import { Bucket } from '../storage/bucket.js';
import { readBucketEnvironment } from '../storage/bucket_environment.js';
import { untilInterrupted } from './interrupt.js';
import { TransferDisplay } from './transfer_display.js';

interface SetupOptions {
  cuda: boolean;
  headers: boolean;
}

export function register(program: Command): void {
  program
    .command('setup')
    .description('find the libtorch that the addon runs on, or install it into the cache')
    .option('--cuda', 'with the CUDA libraries, to run on a GPU (2 GB to download)', false)
    .option('--headers', 'with the headers, to compile the addon', false)
    .action((options: SetupOptions) => untilInterrupted((signal) => setup(options, signal)));
}

async function setup({ cuda, headers }: SetupOptions, signal: AbortSignal): Promise<void> {
  const { libtorch, rejected } = findLibtorch({ headers });
  if (libtorch !== null && (libtorch.hasCuda || !cuda)) {
    console.log(`${describe(libtorch)} is there already.`);
    return;
  }
  // An installation would not be used.
  if (rejected.some(({ source }) => source === 'LIBTORCH')) throw libtorchNotFound(rejected);
  if (libtorch?.source === 'LIBTORCH') {
    throw libtorchNotFound([
      { source: 'LIBTORCH', path: libtorch.directory, reason: 'it has no CUDA libraries' },
    ]);
  }
  const started = performance.now();
  const display = new TransferDisplay('libtorch');
  const { settings } = readBucketEnvironment();
  const bucket = settings && new Bucket(settings);
  const { directory, version, installed } = await installLibtorch({
    ...{ cuda, headers, signal, bucket },
    onProgress: ({ phase, bytes, total }) => {
      if (phase === 'wait') display.line('Another process installs it; waiting.');
      else display.update(phase === 'download' ? 'Downloading' : 'Unpacking', bytes, total);
    },
  }).finally(async () => {
    display.clear();
    await bucket?.dispose();
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    installed
      ? `libtorch ${version} was installed in ${directory} in ${seconds} s.`
      : `libtorch ${version} in ${directory} is there already.`,
  );
}

function describe({ version, directory, source }: Libtorch): string {
  return `libtorch${version === null ? '' : ` ${version}`} in ${directory} (${label(source)})`;
}
