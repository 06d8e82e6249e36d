/**
 * Installs the pinned libtorch into the cache: from the bucket where it is there, else out of the
 * wheels that pip downloads.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { cacheRoot } from '../../lib/cache_root.js';
import { DownloadError, VoxpodError, messageOf } from '../../lib/errors.js';
import {
  MANIFEST_NAME,
  TORCH_VERSION,
  installedLibtorch,
  readInstalled,
  type LibtorchManifest,
} from '../../lib/libtorch.js';
import type { Bucket } from '../storage/bucket.js';
import { claimFolder } from '../storage/claim.js';
import { explainDiskError, requireSpace } from '../storage/disk.js';
import { pipDownload } from '../storage/pip.js';
import {
  incompleteFolder,
  publishFile,
  publishFolder,
  removeFolder,
  removeLeftovers,
  syncPath,
} from '../storage/publish.js';
import { fetchFromBucket, findInBucket } from './bucket.js';
import { requirePinned, unpackWheel, wheelVersion, type UnpackedFile } from './wheel.js';
import { CPU_WHEELS, CUDA_WHEELS, HEADERS_BYTES, WHEEL_TAGS, type PinnedWheel } from './wheels.js';

export interface InstallProgress {
  /** "wait": another process installs the same. */
  phase: 'download' | 'unpack' | 'wait';
  /** Bytes downloaded so far, and of all there is to download. */
  bytes: number;
  total: number;
}

export interface InstallOptions {
  /** With the CUDA libraries: 4 GB instead of 0.5. */
  cuda?: boolean;
  /** With the headers that the addon is compiled against. */
  headers?: boolean;
  /** Default VOXPOD_CACHE, else XDG_CACHE_HOME/voxpod, else ~/.cache/voxpod. */
  cache?: string;
  /** Interpreter to run pip with. Default VOXPOD_PYTHON, else python3. */
  python?: string;
  /** Asked before pip; it holds no headers. */
  bucket?: Bucket | undefined;
  /** Why the bucket did not serve. */
  log?: (line: string) => void;
  onProgress?: (progress: InstallProgress) => void;
  signal?: AbortSignal;
}

export interface InstallResult {
  directory: string;
  version: string;
  /** False where all of it was there already. */
  installed: boolean;
  /** "cache" where it was there already. */
  source: 'cache' | 'bucket' | 'pip';
}

/**
 * Nothing is visible under the final name before it is whole; two processes at once share one
 * download.
 * @throws DownloadError SETUP_FAILED, CHECKSUM_MISMATCH, DISK_FULL
 */
export async function installLibtorch(options: InstallOptions = {}): Promise<InstallResult> {
  const { cuda = false, headers = false, signal = new AbortController().signal } = options;
  const directory = installedLibtorch(options.cache ?? cacheRoot(), cuda);
  const complete = (): LibtorchManifest | undefined => {
    try {
      const manifest = readInstalled(directory);
      return headers && !manifest.headers ? undefined : manifest;
    } catch {
      return undefined;
    }
  };
  const there = complete();
  const found = (version: string): InstallResult => ({
    ...{ directory, version, installed: false, source: 'cache' },
  });
  if (there !== undefined) return found(there.version);

  const root = dirname(directory);
  const staging = incompleteFolder(root, basename(directory));
  try {
    await mkdir(root, { recursive: true });
    await removeLeftovers(root, 0, [staging]);
    const claim = await claimFolder(staging, {
      signal,
      done: () => Promise.resolve(complete() !== undefined),
      onWait: () => options.onProgress?.({ phase: 'wait', bytes: 0, total: 0 }),
    });
    if (claim === undefined) return found(complete()?.version ?? TORCH_VERSION);
    const work = join(staging, randomUUID());
    try {
      await removeOthersWork(staging);
      const during = AbortSignal.any([signal, claim.lost]);
      const all = { ...options, cuda, headers };
      const fetched = await fromBucket(work, directory, all, during);
      const { version } = fetched ?? (await install(work, directory, all, during));
      return { directory, version, installed: true, source: fetched ? 'bucket' : 'pip' };
    } finally {
      await rm(work, { recursive: true, force: true, maxRetries: 3 });
      await claim.release();
      // A successor that took over works in there.
      if (!claim.lost.aborted) await removeFolder(staging);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw explain(explainDiskError(error, root));
  }
}

/** Where parts of a download from the bucket lie; the next try goes on with them. */
const PARTS = 'parts';

/** Deletes what those left who were killed at it. */
async function removeOthersWork(staging: string): Promise<void> {
  for (const entry of await readdir(staging, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === PARTS) continue;
    await rm(join(staging, entry.name), { recursive: true, force: true });
  }
}

/** Undefined where the bucket has none, or does not serve. */
async function fromBucket(
  work: string,
  directory: string,
  { bucket, cuda = false, headers, onProgress, log }: InstallOptions,
  signal: AbortSignal,
): Promise<LibtorchManifest | undefined> {
  if (bucket === undefined || headers === true) return undefined;
  const tree = join(work, 'tree');
  const parts = join(dirname(work), PARTS);
  try {
    const found = await findInBucket(bucket, cuda, signal);
    if (found === undefined) {
      log?.(`${bucket.description} does not hold libtorch ${TORCH_VERSION} yet`);
      return undefined;
    }
    const total = found.files.reduce((sum, { size }) => sum + size, 0);
    await requireSpace(work, total, `libtorch ${TORCH_VERSION}`);
    const folders = { tree, parts, cuda };
    const manifest = await fetchFromBucket(bucket, found, folders, {
      ...{ signal, log: (line) => log?.(line) },
      onProgress: (bytes) => onProgress?.({ phase: 'download', bytes, total }),
    });
    return await publish(tree, directory, manifest, signal);
  } catch (error) {
    signal.throwIfAborted();
    log?.(`libtorch from ${bucket.description}: ${messageOf(error)}`);
    await rm(parts, { recursive: true, force: true });
    await rm(tree, { recursive: true, force: true });
    return undefined;
  }
}

async function install(
  work: string,
  directory: string,
  options: InstallOptions & { cuda: boolean; headers: boolean },
  signal: AbortSignal,
): Promise<LibtorchManifest> {
  const { cuda, headers, onProgress } = options;
  let existing: LibtorchManifest | undefined;
  try {
    existing = readInstalled(directory);
  } catch {
    // Damaged or not there: it is made anew.
  }
  const wheels = (cuda ? CUDA_WHEELS : CPU_WHEELS).slice(0, existing === undefined ? undefined : 1);
  await requireSpace(work, spaceNeeded(wheels, headers), `libtorch ${TORCH_VERSION}`);

  const tree = join(work, 'tree');
  const total = wheels.reduce((sum, { size }) => sum + size, 0);
  const files: UnpackedFile[] = [];
  let version = TORCH_VERSION;
  let done = 0;
  // One at a time: pip keeps each wheel twice while it works, and the disk need not hold them all.
  for (const wheel of wheels) {
    const isTorch = wheel === wheels[0];
    const folder = join(work, 'wheels');
    const [path] = await pipDownload({
      requirements: [wheel.requirement],
      folder,
      extraArguments: WHEEL_TAGS,
      signal,
      onProgress: (bytes) =>
        onProgress?.({ phase: 'download', bytes: done + Math.min(bytes, wheel.size), total }),
      ...(options.python === undefined ? {} : { python: options.python }),
    });
    if (path === undefined) throw new Error(`pip downloaded nothing for ${wheel.requirement}`);
    done += wheel.size;
    onProgress?.({ phase: 'unpack', bytes: done, total });
    await requirePinned(path, wheel, isTorch ? (cuda ? ['cu130'] : ['cpu', 'cu130']) : [], signal);
    if (isTorch) version = versionOf(path, cuda);
    const place = (name: string): string | undefined => {
      if (wheel.libraries.test(name)) return existing ? undefined : `lib/${basename(name)}`;
      return headers && isTorch && name.startsWith('torch/include/')
        ? name.slice('torch/'.length)
        : undefined;
    };
    files.push(...(await unpackWheel(path, tree, place, signal)));
    await rm(folder, { recursive: true, force: true });
    // PyTorch's own CPU build names no CUDA library, and its index has none.
    if (isTorch && wheelVersion(path).endsWith('+cpu')) break;
  }
  if (existing !== undefined) return addHeaders(tree, directory, existing, signal);
  const manifest = { version, headers, files: files.filter(({ path }) => path.startsWith('lib/')) };
  return publish(tree, directory, manifest, signal);
}

/** Publishes the whole. What lay there was not complete, or we would not be here. */
async function publish(
  tree: string,
  directory: string,
  manifest: LibtorchManifest,
  signal: AbortSignal,
): Promise<LibtorchManifest> {
  const names = manifest.files.map(({ path }) => basename(path));
  for (const needed of ['libc10.so', 'libtorch_cpu.so']) {
    if (!names.includes(needed)) throw new Error(`the wheel of torch holds no ${needed}`);
  }
  await syncFolders(tree);
  await writeFile(join(tree, MANIFEST_NAME), `${JSON.stringify(manifest, null, 1)}\n`, {
    flush: true,
  });
  signal.throwIfAborted();
  if (existsSync(directory)) await removeFolder(directory);
  await publishFolder(tree, directory);
  return manifest;
}

/** Adds headers beside libraries that may be in use. */
async function addHeaders(
  tree: string,
  directory: string,
  existing: LibtorchManifest,
  signal: AbortSignal,
): Promise<LibtorchManifest> {
  await syncFolders(tree);
  signal.throwIfAborted();
  const include = join(directory, 'include');
  // Left by an installation that died right here.
  if (existsSync(include)) await removeFolder(include);
  await rename(join(tree, 'include'), include);
  const manifest = { ...existing, headers: true };
  await publishFile(join(directory, MANIFEST_NAME), `${JSON.stringify(manifest, null, 1)}\n`);
  return manifest;
}

async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await syncPath(join(entry.parentPath, entry.name));
  }
}

/** The most that lies on the disk at once: what was unpacked before, and a wheel twice. */
function spaceNeeded(wheels: readonly PinnedWheel[], headers: boolean): number {
  let unpacked = headers ? HEADERS_BYTES : 0;
  let most = 0;
  for (const wheel of wheels) {
    most = Math.max(most, unpacked + 2 * wheel.size, unpacked + wheel.size + wheel.unpacked);
    unpacked += wheel.unpacked;
  }
  return Math.max(most, unpacked);
}

/** The Python index's wheel is named "2.11.0" and is the CUDA 13.0 build: name what is kept of it. */
function versionOf(path: string, cuda: boolean): string {
  const version = wheelVersion(path);
  return version.includes('+') ? version : `${version}+${cuda ? 'cu130' : 'cpu'}`;
}

function explain(error: unknown): unknown {
  if (error instanceof VoxpodError && error.code !== 'DOWNLOAD_FAILED') return error;
  return new DownloadError(
    'SETUP_FAILED',
    `libtorch could not be installed: ${messageOf(error)}\nSet-up needs Python 3 with pip and a package index that has torch ${TORCH_VERSION}. Without these, unpack a libtorch ${TORCH_VERSION} zip from pytorch.org and set LIBTORCH to its folder.`,
    { cause: error },
  );
}
