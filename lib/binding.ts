/** Finds and loads the addon, after the libtorch it needs, or says in one error why that fails. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { missingCpuFeatures, readCpu, vectorFeatures } from './cpu.js';
import {
  ArgumentError,
  ModelError,
  NativeError,
  VoxpodError,
  messageOf,
  type ErrorCode,
} from './errors.js';
import {
  TORCH_ABI_PREFIX,
  TORCH_VERSION,
  findLibtorch,
  libtorchNotFound,
  type Libtorch,
  type LibtorchDiscovery,
} from './libtorch.js';
import type { BuildInfo, LoaderModule, NativeErrorCode, NativeModule } from './native.js';
import { packageRoot } from './package_root.js';

const LOADER_NAME = 'voxpod_loader.so';
/** Rounds that a waiting thread of libgomp spins: 50 to 160 us, longer than between two steps of a layer. */
const spinCount = 3000;

let loaded: NativeModule | undefined;

/**
 * The addon, loaded once for the process.
 * @throws NativeError ADDON_NOT_FOUND, LIBTORCH_NOT_FOUND, LIBTORCH_MISMATCH, DEVICE_UNAVAILABLE
 */
export function loadNative(): NativeModule {
  loaded ??= load();
  return loaded;
}

function load(): NativeModule {
  requireCpu();
  const addon = findAddon();
  const { libtorch, rejected } = findLibtorch();
  if (libtorch === null) throw libtorchNotFound(rejected);
  openLibtorch(join(dirname(addon), LOADER_NAME), libtorch);
  return openAddon<NativeModule>(addon);
}

export interface NativeDiagnosis {
  /** The addon's file, or null. */
  addon: string | null;
  libtorch: LibtorchDiscovery;
  /** As Linux reports it; null where it does not. */
  cpu: { model: string; features: string[]; missing: string[] } | null;
  /** What the addon says of itself and the machine; null where it cannot be loaded. */
  native: BuildInfo | null;
  /** Why not. */
  problem: VoxpodError | null;
}

/** Everything that loading depends on, for people: throws nothing that loadNative would. */
export function diagnoseNative(): NativeDiagnosis {
  const cpu = readCpu();
  const diagnosis: NativeDiagnosis = {
    addon: null,
    libtorch: findLibtorch(),
    cpu: cpu && {
      model: cpu.model,
      features: vectorFeatures(cpu),
      missing: missingCpuFeatures(cpu),
    },
    native: null,
    problem: null,
  };
  try {
    diagnosis.addon = findAddon();
    diagnosis.native = loadNative().info();
  } catch (error) {
    const known = error instanceof NativeError;
    diagnosis.problem = known
      ? error
      : new NativeError('NATIVE_FAILURE', messageOf(error), { cause: error });
  }
  return diagnosis;
}

/** A CPU that is too old would kill the process at the first vector instruction. */
function requireCpu(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NativeError(
      'ADDON_NOT_FOUND',
      `voxpod runs on Linux on x64, and this is ${process.platform} on ${process.arch}.`,
    );
  }
  const cpu = readCpu();
  const missing = missingCpuFeatures(cpu);
  if (missing.length === 0) return;
  throw new NativeError(
    'DEVICE_UNAVAILABLE',
    `This CPU (${cpu?.model ?? 'unknown'}) lacks ${missing.join(', ')}, which voxpod needs. Run it on a CPU of 2015 or later; in a virtual machine, pass the host's CPU features through.`,
  );
}

/** The addon's file: in VOXPOD_ADDON alone where it is set, else built here, else prebuilt. */
export function findAddon(env: NodeJS.ProcessEnv = process.env): string {
  const given = env['VOXPOD_ADDON'];
  const addon = given ? join(resolve(given), 'voxpod.node') : builtAddon();
  for (const file of [addon, join(dirname(addon), LOADER_NAME)]) {
    if (existsSync(file)) continue;
    throw new NativeError(
      'ADDON_NOT_FOUND',
      given
        ? `There is no ${file}. VOXPOD_ADDON is set, so nothing else was tried: it must name the folder with voxpod.node and ${LOADER_NAME}.`
        : `There is no ${file}. ${BUILD_ADVICE}`,
    );
  }
  return addon;
}

const BUILD_ADVICE =
  'Build the addon with `npm run setup` and `npm run build`, or set VOXPOD_ADDON to a folder that holds a built one.';

function builtAddon(): string {
  const nodeGypBuild = createRequire(import.meta.url)('node-gyp-build') as {
    path(folder: string): string;
  };
  try {
    return nodeGypBuild.path(packageRoot());
  } catch (error) {
    const tried = ['build/Release', 'build/Debug', `prebuilds/${process.platform}-${process.arch}`]
      .map((folder) => `  ${join(packageRoot(), folder)}: no .node file for this Node`)
      .join('\n');
    throw new NativeError(
      'ADDON_NOT_FOUND',
      `No addon was found. Tried:\n${tried}\n${BUILD_ADVICE}`,
      { cause: error },
    );
  }
}

function openLibtorch(loaderPath: string, libtorch: Libtorch): void {
  const loader = openAddon<LoaderModule>(loaderPath);
  let abi: string;
  try {
    // libgomp reads it when it is opened. By default a thread that waits for the others spins for up
    // to 16 ms; beside other programs it holds a core that way which those need to get done.
    if (process.env['OMP_WAIT_POLICY'] === undefined) {
      process.env['GOMP_SPINCOUNT'] ??= String(spinCount);
    }
    abi = loader.open(libtorch.libraries);
  } catch (error) {
    throw new NativeError(
      'LIBTORCH_NOT_FOUND',
      `libtorch in ${libtorch.directory} cannot be opened: ${messageOf(error)}\nRun \`npx voxpod setup\`, or set LIBTORCH to a complete libtorch ${TORCH_VERSION}.`,
      { cause: error },
    );
  }
  if (abi.startsWith(TORCH_ABI_PREFIX)) return;
  const found = [0, 2, 4].map((at) => parseInt(abi.slice(at, at + 2), 16)).join('.');
  throw new NativeError(
    'LIBTORCH_MISMATCH',
    `libtorch in ${libtorch.directory} is torch ${found}, and voxpod is built for ${TORCH_VERSION}. Run \`npx voxpod setup\`, or set LIBTORCH to a libtorch ${TORCH_VERSION}.`,
  );
}

/** process.dlopen rather than require, which knows an addon only by the suffix .node. */
function openAddon<Exports>(path: string): Exports {
  const holder = { exports: {} };
  try {
    process.dlopen(holder, path);
  } catch (error) {
    throw new NativeError(
      'ADDON_NOT_FOUND',
      `The addon ${path} cannot be loaded: ${messageOf(error)}\nBuild it anew with \`npm run build\`.`,
      { cause: error },
    );
  }
  return holder.exports as Exports;
}

const CLASSES: Record<
  Exclude<NativeErrorCode, 'CANCELLED'>,
  new (code: ErrorCode, message: string, options?: { cause?: unknown }) => VoxpodError
> = {
  INVALID_ARGUMENT: ArgumentError,
  CHECKPOINT_CORRUPT: ModelError,
  MODEL_NOT_FOUND: ModelError,
  MODEL_INVALID: ModelError,
  MODEL_UNSUPPORTED: ModelError,
  DEVICE_UNAVAILABLE: NativeError,
  OUT_OF_MEMORY: NativeError,
  QUEUE_FULL: NativeError,
  DISPOSED: NativeError,
  NATIVE_FAILURE: NativeError,
};

/** An error of the addon as one of voxpod's classes; anything else, and CANCELLED, as it is. */
export function fromNative(error: unknown): unknown {
  const code = error instanceof VoxpodError ? undefined : codeOf(error);
  if (code === undefined || !Object.hasOwn(CLASSES, code)) return error;
  const known = code as keyof typeof CLASSES;
  return new CLASSES[known](known, messageOf(error), { cause: error });
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
