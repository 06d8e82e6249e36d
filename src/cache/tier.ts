/** The folders that models are kept in, best first, as the environment describes them. */
import { statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { cacheRoot } from '../../lib/cache_root.js';
import { invalidArgument } from '../../lib/errors.js';
import { isWorker } from '../runpod/environment.js';
import { parseBytes } from '../storage/disk.js';

export type TierName = 'volume' | 'user' | 'build' | 'emergency';

export interface Tier {
  name: TierName;
  /** Root of a cache in the Hugging Face layout. */
  path: string;
  /** Whether what is written there outlives this machine or container. */
  persistent: boolean;
  /** The most that models may take there, in bytes. */
  limit?: number;
  /** A folder that must be a mount of its own, or the tier is not there. */
  mount?: string;
  /** Lies where any user may make folders, so it is believed only where it is ours or root's. */
  checkOwner?: boolean;
  /** Milliseconds within which it must answer, or it counts as gone for a while. Default 20 s. */
  answerMs?: number;
}

/** Fractions of what a tier can hold: above `high`, models are evicted until `low`. */
export interface Watermarks {
  high: number;
  low: number;
}

const VOLUME = '/runpod-volume';

/**
 * On a RunPod worker: volume, build, emergency. Elsewhere the user's own cache comes first, or right
 * after a volume that is mounted. VOXPOD_CACHE set by hand is the only tier. A path of "" switches a
 * tier off.
 * @throws ArgumentError INVALID_ARGUMENT
 */
export function tiersFromEnvironment(env: NodeJS.ProcessEnv): Tier[] {
  const user = userTier(join(cacheRoot(env), 'models'), env);
  if (env['VOXPOD_CACHE']) return [user];
  const worker = isWorker(env);
  const volume = optionalTier(env, 'volume', 'VOXPOD_VOLUME_CACHE', join(VOLUME, 'models'), worker);
  const tiers = [
    ...(volume?.mount === undefined || worker || isMount(volume.mount) ? [volume] : []),
    worker ? undefined : user,
    optionalTier(env, 'build', 'VOXPOD_BUILD_CACHE', '/tmp/models', worker),
    optionalTier(env, 'emergency', 'VOXPOD_EMERGENCY_CACHE', '/tmp/cache', worker),
  ].filter((tier) => tier !== undefined);
  // A path twice would be measured and filled twice.
  const different = tiers.filter(
    ({ path }, index) => tiers.findIndex((other) => other.path === path) === index,
  );
  return different.length === 0 ? [user] : different;
}

/** The tier in the user's own cache, or in the folder that a caller or VOXPOD_CACHE chose. */
export function userTier(path: string, env: NodeJS.ProcessEnv): Tier {
  return { name: 'user', path, persistent: true, ...limit(env, 'VOXPOD_CACHE_BYTES') };
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function watermarksFromEnvironment(env: NodeJS.ProcessEnv): Watermarks {
  const high = fraction(env, 'VOXPOD_CACHE_HIGH_WATER', 0.9);
  const low = fraction(env, 'VOXPOD_CACHE_LOW_WATER', Math.min(0.75, high));
  if (low > high) {
    throw invalidArgument(
      'VOXPOD_CACHE_LOW_WATER',
      `no more than VOXPOD_CACHE_HIGH_WATER (${high})`,
      low,
    );
  }
  return { high, low };
}

/** Whether something is mounted there, rather than a folder of the disk around it. */
export function isMount(path: string): boolean {
  try {
    return statSync(path).dev !== statSync(dirname(path)).dev;
  } catch {
    return false;
  }
}

function optionalTier(
  env: NodeJS.ProcessEnv,
  name: 'volume' | 'build' | 'emergency',
  variable: string,
  preset: string,
  worker: boolean,
): Tier | undefined {
  const given = env[variable];
  if (given === '') return undefined;
  if (given !== undefined && (!isAbsolute(given) || given.includes('\0'))) {
    throw invalidArgument(variable, 'an absolute path, or nothing to switch it off', given);
  }
  const persistent = name === 'volume';
  const tier = { name, persistent, ...limit(env, `${variable}_BYTES`) };
  if (given !== undefined) return { ...tier, path: resolve(given) };
  if (name === 'volume') return { ...tier, path: preset, mount: VOLUME };
  return { ...tier, path: preset, checkOwner: !worker };
}

function limit(env: NodeJS.ProcessEnv, variable: string): { limit?: number } {
  const text = env[variable];
  return text ? { limit: parseBytes(variable, text) } : {};
}

function fraction(env: NodeJS.ProcessEnv, variable: string, preset: number): number {
  const text = env[variable];
  if (!text) return preset;
  const value = Number(text);
  if (!(value > 0 && value <= 1)) {
    throw invalidArgument(variable, 'a fraction above 0 and up to 1, such as 0.9', text);
  }
  return value;
}
