import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Where voxpod keeps what it downloads: VOXPOD_CACHE, else XDG_CACHE_HOME/voxpod, else ~/.cache/voxpod. */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env['VOXPOD_CACHE']) return resolve(env['VOXPOD_CACHE']);
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'voxpod');
}
