/** Finds libtorch: one order of discovery for the addon at run time and for its build. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { cacheRoot } from './cache_root.js';
import { NativeError, messageOf } from './errors.js';

/** The release that the addon is built for; any patch level of it shares one ABI. */
export const TORCH_VERSION = '2.11.0';
/** How `aoti_torch_abi_version` begins in that release: a byte for major and one for minor. */
export const TORCH_ABI_PREFIX = '020b';

export type LibtorchSource = 'LIBTORCH' | 'cache' | 'python';

export interface Libtorch {
  /** Holds lib/, and include/ where headers are installed. */
  directory: string;
  /** "2.11.0+cu130"; null where the folder does not say. */
  version: string | null;
  source: LibtorchSource;
  hasHeaders: boolean;
  /** Whether its CUDA libraries are there; they are opened only where a NVIDIA driver is, too. */
  hasCuda: boolean;
  /** What the loader opens, in this order. */
  libraries: string[];
}

export interface RejectedLibtorch {
  source: LibtorchSource;
  path: string;
  reason: string;
}

export interface LibtorchDiscovery {
  libtorch: Libtorch | null;
  /** Passed over before `libtorch` was found, in order. */
  rejected: RejectedLibtorch[];
}

export interface LibtorchQuery {
  env?: NodeJS.ProcessEnv;
  /** Accept only one with headers to compile against. */
  headers?: boolean;
  /** Whether a NVIDIA driver is there; looked up by default. */
  driver?: boolean;
}

/** What `voxpod setup` writes last into the folders that it installs. */
export interface LibtorchManifest {
  version: string;
  headers: boolean;
  /** Paths are relative to the folder. */
  files: { path: string; size: number; sha256: string }[];
}

export const MANIFEST_NAME = 'voxpod.json';

/** LIBTORCH alone where it is set; else the package's cache; else Python's where that is asked for. */
export function findLibtorch(query: LibtorchQuery = {}): LibtorchDiscovery {
  const env = query.env ?? process.env;
  const rejected: RejectedLibtorch[] = [];
  for (const { source, path, check } of candidates(env, query.driver ?? hasNvidiaDriver())) {
    try {
      const directory = check();
      const libtorch = inspect(directory, source, query.driver ?? hasNvidiaDriver());
      if (query.headers === true && !libtorch.hasHeaders) throw new Error('it has no headers');
      return { libtorch, rejected };
    } catch (error) {
      rejected.push({ source, path, reason: messageOf(error) });
    }
  }
  return { libtorch: null, rejected };
}

/** One error for all that was tried. */
export function libtorchNotFound(rejected: readonly RejectedLibtorch[]): NativeError {
  const tried = rejected.map(({ source, path, reason }) => `  ${label(source)} ${path}: ${reason}`);
  const explicit = rejected.some(({ source }) => source === 'LIBTORCH');
  const advice = explicit
    ? 'LIBTORCH is set, so nothing else was tried: correct it, or unset it and run `npx voxpod setup`.'
    : `Run \`npx voxpod setup\` to install libtorch ${TORCH_VERSION}, or set LIBTORCH to an unpacked libtorch zip of that version.`;
  return new NativeError(
    'LIBTORCH_NOT_FOUND',
    ['No usable libtorch was found. Tried:', ...tried, advice].join('\n'),
  );
}

export function label(source: LibtorchSource): string {
  return { LIBTORCH: 'LIBTORCH', cache: 'cache', python: 'Python' }[source];
}

/** Where `voxpod setup` installs. */
export function installedLibtorch(cache: string, cuda: boolean): string {
  return join(cache, 'libtorch', `${TORCH_VERSION}+${cuda ? 'cu130' : 'cpu'}`);
}

export function hasNvidiaDriver(): boolean {
  return existsSync('/proc/driver/nvidia/version') || existsSync('/dev/nvidiactl');
}

/** Reads the manifest of an installed libtorch, and throws unless its libraries are all there. */
export function readInstalled(directory: string): LibtorchManifest {
  if (!existsSync(directory)) throw new Error('not installed');
  let manifest: LibtorchManifest;
  try {
    manifest = JSON.parse(readFileSync(join(directory, MANIFEST_NAME), 'utf8')) as LibtorchManifest;
    for (const { path, size } of manifest.files) {
      // Headers are thousands and are missed at once by a compiler; libraries fail in odd ways.
      if (!path.startsWith('lib/')) continue;
      const found = statSync(join(directory, path), { throwIfNoEntry: false })?.size;
      if (found !== size) {
        throw new Error(`${path} has ${found ?? 'no'} bytes instead of ${size}`);
      }
    }
  } catch (error) {
    throw new Error(`damaged (${messageOf(error)}): delete it and run \`npx voxpod setup\``, {
      cause: error,
    });
  }
  return manifest;
}

interface Candidate {
  source: LibtorchSource;
  path: string;
  /** The folder to look at, or throws why there is none. */
  check: () => string;
}

function candidates(env: NodeJS.ProcessEnv, driver: boolean): Candidate[] {
  const given = env['LIBTORCH'];
  if (given !== undefined && given !== '') {
    const path = resolve(given);
    return [{ source: 'LIBTORCH', path, check: () => path }];
  }
  const cache = cacheRoot(env);
  const kinds = driver ? [true, false] : [false, true];
  const list = kinds.map((cuda): Candidate => {
    const path = installedLibtorch(cache, cuda);
    return {
      source: 'cache',
      path,
      check: () => {
        readInstalled(path);
        return path;
      },
    };
  });
  if (env['LIBTORCH_USE_PYTORCH'] === '1') {
    const python = env['VOXPOD_PYTHON'] || 'python3';
    list.push({ source: 'python', path: python, check: () => pythonTorch(python, env) });
  }
  return list;
}

/** The folder of the torch package, without importing it (which takes seconds). */
function pythonTorch(python: string, env: NodeJS.ProcessEnv): string {
  const script =
    'import importlib.util, os; s = importlib.util.find_spec("torch"); ' +
    'print(os.path.dirname(s.origin) if s and s.origin else "")';
  const run = spawnSync(python, ['-c', script], { env, encoding: 'utf8', timeout: 30_000 });
  if (run.error) throw new Error(`${python} cannot be run (${run.error.message})`);
  if (run.status !== 0) throw new Error(`${python} failed: ${run.stderr.trim().slice(-300)}`);
  const directory = run.stdout.trim();
  if (directory === '') throw new Error(`${python} has no torch package`);
  return directory;
}

function inspect(directory: string, source: LibtorchSource, driver: boolean): Libtorch {
  const lib = join(directory, 'lib');
  if (!existsSync(directory)) throw new Error('there is no such folder');
  if (!existsSync(join(lib, 'libtorch_cpu.so'))) throw new Error('it has no lib/libtorch_cpu.so');
  const version = versionOf(directory);
  const release = TORCH_VERSION.slice(0, TORCH_VERSION.lastIndexOf('.') + 1);
  if (version !== null && !version.startsWith(release)) {
    throw new Error(`it is torch ${version}, and voxpod needs ${TORCH_VERSION}`);
  }
  const hasCuda = existsSync(join(lib, 'libtorch_cuda.so'));
  return {
    directory,
    version,
    source,
    hasHeaders: existsSync(join(directory, 'include', 'ATen', 'ATen.h')),
    hasCuda,
    libraries: loadOrder(lib, hasCuda, driver),
  };
}

/** From our manifest, the zip's build-version or the wheel's version.py, whichever is there. */
function versionOf(directory: string): string | null {
  const read = (name: string): string => {
    const path = join(directory, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const found =
    /"version":\s*"([^"]+)"/.exec(read(MANIFEST_NAME)) ??
    /^(\S+)/.exec(read('build-version')) ??
    /__version__ = '([^']+)'/.exec(read('version.py'));
  return found?.[1] ?? null;
}

/**
 * libtorch finds its neighbours by $ORIGIN, but not all of its builds keep the NVIDIA libraries
 * there: a library that was opened by its path satisfies whoever names it later.
 */
function loadOrder(lib: string, hasCuda: boolean, driver: boolean): string[] {
  const folders = [lib, ...nvidiaFolders(lib)];
  const find = (pattern: RegExp): string[] => {
    for (const folder of folders) {
      const names = existsSync(folder)
        ? readdirSync(folder).filter((name) => pattern.test(name))
        : [];
      if (names.length > 0) return names.sort().map((name) => join(folder, name));
    }
    return [];
  };
  const order = [
    ...find(/^libcudart([.-].*)?\.so\.13/),
    ...find(/^libcupti([.-].*)?\.so\.13/),
    ...find(/^libgomp([.-].*)?\.so\.1$/),
    ...find(/^libc10\.so$/),
    ...find(/^libtorch_cpu\.so$/),
  ];
  if (hasCuda && !driver) return order;
  if (hasCuda) order.push(...find(/^libc10_cuda\.so$/), ...find(/^libtorch_cuda\.so$/));
  return [...order, ...find(/^libtorch\.so$/)];
}

/** site-packages/nvidia/NAME/lib beside site-packages/torch/lib. */
function nvidiaFolders(lib: string): string[] {
  const nvidia = join(dirname(dirname(lib)), 'nvidia');
  if (!existsSync(nvidia)) return [];
  return readdirSync(nvidia).map((name) => join(nvidia, name, 'lib'));
}
