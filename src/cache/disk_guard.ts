/** Points every temporary and cache path off the disk of the operating system, first thing at start. */
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf } from '../../lib/errors.js';
import { isWorker } from '../runpod/environment.js';
import { formatBytes } from '../storage/disk.js';
import { makeFolderSync } from '../storage/paths.js';
import { GUARDED_PATHS, MODEL_CACHE_VARIABLES } from './guarded_paths.js';

export interface DiskGuardOptions {
  /** Changed in place, so that what is started later inherits it. Default process.env. */
  env?: NodeJS.ProcessEnv;
  /** Folders to choose the scratch folder from where VOXPOD_SCRATCH names none. */
  candidates?: readonly string[];
}

export interface DiskGuard {
  /** Where temporary files go; undefined where nothing was changed. */
  scratch: string | undefined;
  /** What was decided and why, for the log. */
  line: string;
}

/** A local disk is faster for scratch than a network volume, and either is cheaper than memory. */
const CANDIDATES = ['/tmp/cache/scratch', '/runpod-volume/.voxpod-scratch', '/dev/shm/voxpod'];
/** Less is no room for a decoded hour of audio. */
const ENOUGH_BYTES = 1_000_000_000;

/**
 * On a RunPod worker, or where VOXPOD_SCRATCH names a folder, sets the variables of GUARDED_PATHS;
 * elsewhere the user's own settings stay. A variable that is set already is respected where its folder
 * can be written. Nothing here throws: a worker without a scratch folder still works from memory.
 */
export function guardDisk(options: DiskGuardOptions = {}): DiskGuard {
  const env = options.env ?? process.env;
  const wanted = env['VOXPOD_SCRATCH'];
  if (!wanted && !isWorker(env)) {
    return { scratch: undefined, line: 'Temporary files stay where this user keeps them.' };
  }
  const { scratch, free, passedOver } = choose(
    wanted ? [resolve(wanted)] : (options.candidates ?? CANDIDATES),
  );
  const because = passedOver.length === 0 ? '' : ` (${passedOver.join('; ')})`;
  if (scratch === undefined) {
    return { scratch, line: `No folder for temporary files was found${because}.` };
  }
  for (const { variable, folder } of GUARDED_PATHS) {
    const present = env[variable];
    if (present && isWritable(present)) continue;
    const place = join(scratch, folder);
    makeFolderSync(place);
    env[variable] = place;
  }
  return {
    scratch,
    line: `Temporary files and caches go to ${scratch}, ${formatBytes(free)} free${because}.`,
  };
}

/** For child processes: the folder of models in the Hugging Face layout. */
export function announceModelCache(root: string, env: NodeJS.ProcessEnv = process.env): void {
  for (const variable of MODEL_CACHE_VARIABLES) env[variable] = root;
}

/** The first with room enough; else the one with most. */
function choose(candidates: readonly string[]): {
  scratch: string | undefined;
  free: number;
  passedOver: string[];
} {
  let best: { scratch: string; free: number } | undefined;
  const passedOver: string[] = [];
  for (const candidate of candidates) {
    try {
      const free = prepare(candidate);
      if (free >= ENOUGH_BYTES) return { scratch: candidate, free, passedOver };
      passedOver.push(`${candidate} has ${formatBytes(free)} free`);
      if (best === undefined || free > best.free) best = { scratch: candidate, free };
    } catch (error) {
      passedOver.push(`${candidate}: ${messageOf(error)}`);
    }
  }
  return { scratch: best?.scratch, free: best?.free ?? 0, passedOver };
}

/** Makes the folder and returns the bytes that are free there. */
function prepare(folder: string): number {
  // A volume that is not mounted must not be made up on the disk it was to spare.
  const [, top = ''] = folder.split('/');
  if (top === 'runpod-volume' && statSync('/runpod-volume').dev === statSync('/').dev) {
    throw new Error('/runpod-volume is not mounted');
  }
  makeFolderSync(folder);
  accessSync(folder, constants.W_OK);
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Whether it is a folder that can be written, or could be made. */
function isWritable(path: string): boolean {
  try {
    makeFolderSync(resolve(path));
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
