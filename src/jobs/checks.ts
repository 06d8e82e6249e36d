/**
 * What a worker makes sure of before it loads anything: memory and disk. The network is not checked:
 * the first take tells, and a host on the internet that a firewall hides says nothing about RunPod.
 * RUNPOD_MIN_MEMORY_GB, RUNPOD_MIN_DISK_PERCENT and RUNPOD_SKIP_AUTO_SYSTEM_CHECKS are those of RunPod's
 * SDK, except that without them what counts is what this worker needs.
 */
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { VoxpodError } from '../../lib/errors.js';
import { DEFAULT_WHISPER } from '../models/catalogue.js';
import type { FitnessCheck } from '../runpod/fitness.js';
import { formatBytes } from '../storage/disk.js';
import { availableMemory } from './memory.js';

/** For two Node processes and libtorch, before any model. */
const BASE_MEMORY = 512 * 1024 * 1024;
/** Room for the audio of a job, which goes to a file where it is large. */
const LEAST_DISK = 512 * 1024 * 1024;

export interface CheckOptions {
  /** Names or folders. */
  models: readonly string[];
  device: string;
  env?: NodeJS.ProcessEnv;
}

export function systemChecks(options: CheckOptions): FitnessCheck[] {
  const env = options.env ?? process.env;
  if (env['RUNPOD_SKIP_AUTO_SYSTEM_CHECKS'] === 'true') return [];
  return [
    { name: 'memory', run: () => checkMemory(options, env) },
    { name: 'disk', run: () => checkDisk([tmpdir()], env) },
  ];
}

async function checkMemory(
  { models, device }: CheckOptions,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const asked = numberOf(env, 'RUNPOD_MIN_MEMORY_GB');
  let needed = BASE_MEMORY;
  if (device === 'cpu') {
    // Only here: what a worker on a GPU does not need is not loaded.
    const { leastMemory } = await import('../models/least_memory.js');
    needed += await leastMemory(models, DEFAULT_WHISPER);
  }
  if (asked !== undefined) needed = asked * 2 ** 30;
  const { bytes, limit } = await availableMemory();
  if (bytes >= needed) return;
  throw new VoxpodError(
    'UNHEALTHY',
    `${formatBytes(Math.floor(bytes))} of memory are available (${limit}), ${formatBytes(Math.ceil(needed))} are needed${asked === undefined ? ` for ${models.join(', ')}` : ' (RUNPOD_MIN_MEMORY_GB)'}. Take a machine with more, or a smaller model`,
  );
}

async function checkDisk(folders: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const percent = numberOf(env, 'RUNPOD_MIN_DISK_PERCENT') ?? 0;
  for (const folder of folders) {
    const { free, total } = await space(folder);
    const share = (100 * free) / Math.max(1, total);
    if (free >= LEAST_DISK && share >= percent) continue;
    const wanted =
      free < LEAST_DISK ? formatBytes(LEAST_DISK) : `${percent}% (RUNPOD_MIN_DISK_PERCENT)`;
    throw new VoxpodError(
      'UNHEALTHY',
      `${folder} has ${formatBytes(free)} (${share.toFixed(1)}%) free, ${wanted} are needed. Free some space, give the endpoint a larger container disk, or set VOXPOD_SCRATCH to a folder on a larger disk`,
    );
  }
}

/** Bytes of the file system that `path` is on, or will be. */
async function space(path: string): Promise<{ free: number; total: number }> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { bavail, blocks, bsize } = await statfs(at);
      return { free: bavail * bsize, total: blocks * bsize };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(at) === at) throw error;
    }
  }
}

/** @throws VoxpodError INVALID_ARGUMENT where the variable is no number. */
function numberOf(env: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = env[name];
  if (!text) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new VoxpodError(
    'INVALID_ARGUMENT',
    `Expected a number for ${name} but received ${JSON.stringify(text.slice(0, 100))}`,
  );
}
