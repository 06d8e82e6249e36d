/** voxpod setup: finds libtorch, or installs it. */
import type { Command } from 'commander';
import { findLibtorch, label, libtorchNotFound, type Libtorch } from '../../lib/libtorch.js';
import { installLibtorch, type InstallProgress } from '../setup/libtorch.js';
import { formatBytes } from '../storage/disk.js';
import { untilInterrupted } from './interrupt.js';
import { ProgressBar } from './progress.js';

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
  const show = progressDisplay();
  const { directory, version, installed } = await installLibtorch({
    cuda,
    headers,
    signal,
    onProgress: (progress) => show.update(progress),
  }).finally(() => show.clear());
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

/** A bar on a terminal; elsewhere (a build's log) a line for every tenth. */
function progressDisplay(): { update(progress: InstallProgress): void; clear(): void } {
  const bar = new ProgressBar();
  let lastLine = '';
  return {
    update({ phase, bytes, total }) {
      if (phase === 'wait') {
        bar.line('Another process installs it; waiting.');
        return;
      }
      bar.update(phase === 'download' ? 'Downloading' : 'Unpacking', bytes, total, 'bytes');
      if (process.stderr.isTTY) return;
      const tenths = Math.floor((bytes / total) * 10);
      const line = `libtorch: ${tenths * 10}% of ${formatBytes(total)}`;
      if (line !== lastLine) bar.line(line);
      lastLine = line;
    },
    clear: () => bar.clear(),
  };
}
