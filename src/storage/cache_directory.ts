/** Where voxpod keeps what it downloads. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** VOXPOD_CACHE, else XDG_CACHE_HOME/voxpod, else ~/.cache/voxpod. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['VOXPOD_CACHE'];
  return own ? resolve(own) : join(userCache(env), 'voxpod');
}

/**
 * Caches of the Hugging Face hub that others fill: read, never written. HF_HUB_CACHE, HF_HOME/hub
 * or their default, and RunPod's model cache on a network volume.
 */
export function foreignHubCaches(env: NodeJS.ProcessEnv = process.env): string[] {
  const home = env['HF_HOME'] || join(userCache(env), 'huggingface');
  const caches = [env['HF_HUB_CACHE'] || join(home, 'hub'), '/runpod-volume/huggingface-cache/hub'];
  return caches.map((path) => resolve(path));
}

function userCache(env: NodeJS.ProcessEnv): string {
  return env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
}
