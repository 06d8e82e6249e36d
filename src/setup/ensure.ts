/** The libtorch that a worker runs on: what is there, else installed now. */
import { cacheRoot } from '../../lib/cache_root.js';
import { messageOf, VoxpodError } from '../../lib/errors.js';
import {
  findLibtorch,
  hasNvidiaDriver,
  installedLibtorch,
  libtorchNotFound,
  readInstalled,
  type Libtorch,
} from '../../lib/libtorch.js';
import { isSet } from '../flags.js';
import type { Logger } from '../log.js';
import type { Bucket } from '../storage/bucket.js';
import type { ModelSync } from '../storage/model_sync.js';
import { libtorchUpload } from './bucket.js';
import { installLibtorch, type InstallOptions } from './libtorch.js';

export interface EnsureOptions extends Pick<InstallOptions, 'signal' | 'onProgress' | 'python'> {
  /** Default process.env. */
  env?: NodeJS.ProcessEnv;
  /**
   * Folders that hold libtorch/, best first: looked at in turn, and installed into the first that
   * can take it. Default: the cache.
   */
  roots?: readonly string[];
  /** With CUDA. Default: where there is a NVIDIA driver. */
  cuda?: boolean;
  /** Asked before the package index. */
  bucket?: Bucket | undefined;
  /** Stores in the bucket what came from the package index. */
  sync?: ModelSync | undefined;
  log?: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Where it was found elsewhere than in the cache or LIBTORCH (`source` is "LIBTORCH" then, too),
 * LIBTORCH must be set to its `directory` for the addon to find it.
 * @throws NativeError LIBTORCH_NOT_FOUND where nothing may be fetched (VOXPOD_OFFLINE) or LIBTORCH
 * is set and wrong; DownloadError SETUP_FAILED, CHECKSUM_MISMATCH, DISK_FULL
 */
export async function ensureLibtorch(options: EnsureOptions = {}): Promise<Libtorch> {
  const env = options.env ?? process.env;
  const driver = options.cuda ?? hasNvidiaDriver();
  const { libtorch, rejected } = findLibtorch({ env, driver });
  // One that was pointed at is taken as it is.
  if (libtorch !== null && (libtorch.hasCuda || !driver || libtorch.source !== 'cache')) {
    return libtorch;
  }
  if (rejected.some(({ source }) => source === 'LIBTORCH')) throw libtorchNotFound(rejected);
  const roots = options.roots ?? [cacheRoot(env)];
  for (const root of roots) {
    const there = inspect(installedLibtorch(root, driver), env, driver);
    if (there !== undefined) return there;
  }
  if (isSet(env['VOXPOD_OFFLINE'])) {
    if (libtorch !== null) return libtorch;
    throw libtorchNotFound(rejected);
  }
  const directory = await installSomewhere(roots, driver, options);
  const installed = inspect(directory, env, driver);
  if (installed === undefined) throw libtorchNotFound(rejected);
  return installed;
}

/** Undefined where it is not there, or not whole. */
function inspect(directory: string, env: NodeJS.ProcessEnv, driver: boolean): Libtorch | undefined {
  try {
    readInstalled(directory);
  } catch {
    return undefined;
  }
  return findLibtorch({ env: { ...env, LIBTORCH: directory }, driver }).libtorch ?? undefined;
}

async function installSomewhere(
  roots: readonly string[],
  cuda: boolean,
  options: EnsureOptions,
): Promise<string> {
  const { bucket, sync, log, signal, onProgress, python } = options;
  let failure: unknown;
  for (const cache of roots) {
    try {
      const started = performance.now();
      const { directory, version, source } = await installLibtorch({
        ...{ cuda, cache, bucket, log: (line) => log?.warn(line) },
        ...(signal === undefined ? {} : { signal }),
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(python === undefined ? {} : { python }),
      });
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const from = source === 'pip' ? 'the package index' : (bucket?.description ?? '');
      if (source !== 'cache') log?.info(`libtorch ${version}: from ${from} in ${seconds} s`);
      if (source === 'pip' && bucket !== undefined) {
        sync?.addArtifact(`libtorch ${version}`, () => libtorchUpload(bucket, directory));
      }
      return directory;
    } catch (error) {
      signal?.throwIfAborted();
      failure ??= error;
      // Another disk may have the space; another index there is not.
      if (!(error instanceof VoxpodError) || error.code !== 'DISK_FULL') throw error;
      log?.warn(messageOf(error));
    }
  }
  throw failure;
}
