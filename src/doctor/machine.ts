/** Checks of the machine itself: Node, the addon, the GPU, ffmpeg, the disk for temporary files. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diagnoseNative } from '../../lib/binding.js';
import { hasNvidiaDriver } from '../../lib/libtorch.js';
import { guardDisk } from '../cache/disk_guard.js';
import { formatBytes, freeBytes } from '../storage/disk.js';
import { bad, note, ok, type Check } from './findings.js';

/** A decoded hour of audio and a download beside it. */
const SCRATCH_BYTES = 1_000_000_000;

export function machineChecks(env: NodeJS.ProcessEnv): Check[] {
  // First, as a worker does: the checks that follow must see what it will see.
  const { line } = guardDisk({ env });
  return [
    {
      name: 'Node',
      run: () => {
        const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
        const enough = major > 20 || (major === 20 && minor >= 17);
        return enough
          ? ok(process.version)
          : bad(`${process.version}: install Node 20.17 or later`);
      },
    },
    { name: 'addon', run: addon },
    { name: 'GPU', run: gpu },
    { name: 'ffmpeg', run: ffmpeg },
    { name: 'temporary files', run: () => scratch(env, line) },
  ];
}

function addon() {
  const { addon: path, native, problem } = diagnoseNative();
  if (problem !== null) return bad(`${problem.message.split('\n').join(' ')} (${problem.code})`);
  return ok(`${path ?? ''}, torch ${native?.torch ?? 'unknown'}`);
}

function gpu() {
  const { native } = diagnoseNative();
  const devices = (native?.devices ?? []).filter(({ name }) => name.startsWith('cuda'));
  if (devices.length > 0) return ok(devices.map(({ description }) => description).join(', '));
  if (!hasNvidiaDriver()) return note('no NVIDIA driver: everything is computed on the CPU');
  return bad(
    'there is a NVIDIA driver, but the addon finds no GPU: install the CUDA libraries with `voxpod setup --cuda`, and see that the container was given a GPU',
  );
}

function ffmpeg() {
  const run = spawnSync('ffmpeg', ['-version'], { encoding: 'utf8', timeout: 5000 });
  const version = /^ffmpeg version (\S+)/.exec(run.stdout ?? '')?.[1];
  return version === undefined
    ? note('not found: only WAV can be read; install it (apt-get install ffmpeg)')
    : ok(version);
}

async function scratch(env: NodeJS.ProcessEnv, line: string) {
  const folder = env['TMPDIR'] ?? tmpdir();
  const probe = await mkdtemp(join(folder, 'voxpod-doctor-'));
  try {
    await writeFile(join(probe, 'probe'), Buffer.alloc(1 << 20));
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
  const free = await freeBytes(folder);
  if (free >= SCRATCH_BYTES) return ok(`${folder}, ${formatBytes(free)} free`);
  return bad(
    `${folder} has ${formatBytes(free)} free, and ${formatBytes(SCRATCH_BYTES)} are wanted: free some, or set VOXPOD_SCRATCH to a larger disk. ${line}`,
  );
}
