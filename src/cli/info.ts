/** voxpod info: what is here, and what is missing. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { diagnoseNative } from '../../lib/binding.js';
import { cacheRoot } from '../../lib/cache_root.js';
import { hasNvidiaDriver, label } from '../../lib/libtorch.js';
import { packageVersion } from '../version.js';

export function register(program: Command): void {
  program
    .command('info')
    .description('print what voxpod finds here: addon, libtorch, devices, CPU')
    .option('--json', 'as JSON', false)
    .action(({ json }: { json: boolean }) => {
      const report = gather();
      console.log(json ? JSON.stringify(report, null, 2) : table(report));
    });
}

function gather() {
  const { addon, libtorch, cpu, native, problem } = diagnoseNative();
  return {
    voxpod: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    addon,
    libtorch: libtorch.libtorch,
    rejected: libtorch.rejected,
    devices: native?.devices ?? [],
    cpu: {
      model: native?.cpu.model ?? cpu?.model ?? 'unknown',
      cores: native?.cpu.cores ?? availableParallelism(),
      features: native?.cpu.features ?? cpu?.features ?? [],
      missing: cpu?.missing ?? [],
      dtype: native?.cpu.dtype ?? null,
    },
    torch: native?.torch ?? null,
    nvidiaDriver: hasNvidiaDriver(),
    ffmpeg: ffmpegVersion(),
    cache: cacheRoot(),
    problem: problem && { code: problem.code, message: problem.message },
  };
}

function table(report: ReturnType<typeof gather>): string {
  const { libtorch, cpu, devices, problem } = report;
  const lines: [string, string][] = [
    ['voxpod', report.voxpod],
    ['Node', `${report.node} on ${report.platform}`],
    ['addon', report.addon ?? 'not found'],
    [
      'libtorch',
      libtorch === null
        ? 'not found'
        : `${report.torch ?? libtorch.version ?? 'version unknown'} in ${libtorch.directory} (${label(libtorch.source)}${libtorch.hasCuda ? ', with CUDA' : ''}${libtorch.hasHeaders ? ', with headers' : ''})`,
    ],
    ...report.rejected.map(({ source, path, reason }): [string, string] => [
      '  passed over',
      `${label(source)} ${path}: ${reason}`,
    ]),
    ...devices.map(({ name, description }): [string, string] => [
      'device',
      `${name}: ${description}`,
    ]),
    ['NVIDIA driver', report.nvidiaDriver ? 'yes' : 'no'],
    ['CPU', `${cpu.model}, ${cpu.cores} cores`],
    ['CPU features', cpu.features.join(' ') || 'none of interest'],
    ['CPU computes in', cpu.dtype ?? 'unknown until the addon is loaded'],
    ['ffmpeg', report.ffmpeg ?? 'not found: only WAV can be read (apt-get install ffmpeg)'],
    ['cache', report.cache],
  ];
  const text = lines.map(([name, value]) => `${name.padEnd(16)}${value}`).join('\n');
  return problem === null ? text : `${text}\n\nNot ready: ${problem.message} (${problem.code})`;
}

function ffmpegVersion(): string | null {
  const run = spawnSync('ffmpeg', ['-version'], { encoding: 'utf8', timeout: 5000 });
  return /^ffmpeg version (\S+)/.exec(run.stdout ?? '')?.[1] ?? null;
}
