/** Stores what this worker had to fetch from elsewhere in the bucket, in the background. */
import { readFile, readdir, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import type { Bucket } from './bucket.js';
import { headObject } from './bucket_objects.js';
import { modelBase, type ModelManifest } from './bucket_source.js';
import { uploadArtifact, type ArtifactUpload, type UploadFile } from './bucket_upload.js';
import { keyBelow } from './artifact.js';
import { formatBytes } from './disk.js';
import { claimUpload, type UploadClaimOptions } from './upload_claim.js';

/** A model on the disk, in the Hugging Face layout. */
export interface LocalModel {
  /** "org/name" */
  repository: string;
  /** 40 hexadecimal digits: names the state of its files. */
  commit: string;
  /** What it was asked for by. Default: what the cache's refs/ say of the commit. */
  revision?: string;
  folder: string;
  /** Names of its files, where the folder has no record of them. Default: all that lie there. */
  files?: readonly string[];
}

export interface ModelSyncOptions extends Pick<UploadClaimOptions, 'settleMs' | 'staleMs'> {
  log?: Pick<Logger, 'info' | 'warn'>;
  /**
   * Resolves when no job runs, rejects when the signal aborts. Uploads wait for it before each part
   * of 8 MiB.
   */
  idle?: (signal: AbortSignal) => Promise<void>;
}

/** Jobs kept this worker from it for so long that another goes on. */
class TakenOverError extends Error {}

export class ModelSync {
  readonly #bucket: Bucket;
  readonly #options: ModelSyncOptions;
  readonly #stop = new AbortController();
  readonly #known = new Set<string>();
  #last: Promise<void> = Promise.resolve();

  constructor(bucket: Bucket, options: ModelSyncOptions = {}) {
    this.#bucket = bucket;
    this.#options = options;
  }

  /** Takes a model up for storing, unless that was done before. Never throws. */
  add(model: LocalModel): void {
    this.addArtifact(`${model.repository}@${model.commit}`, () => modelUpload(this.#bucket, model));
  }

  /** The same for anything else that is stored like a model. `name` is for the log. */
  addArtifact(name: string, open: () => Promise<ArtifactUpload>): void {
    if (this.#stop.signal.aborted || this.#known.has(name)) return;
    this.#known.add(name);
    // One at a time, and after the code that found the model.
    this.#last = this.#last.then(() => this.#store(name, open));
  }

  /** Resolves when nothing is left to store. */
  async done(): Promise<void> {
    await this.#last;
  }

  /** Stops; another worker, or this one after its next start, goes on with what is stored. */
  async dispose(): Promise<void> {
    this.#stop.abort(new Error('the worker ends'));
    await this.#last;
  }

  async #store(name: string, open: () => Promise<ArtifactUpload>): Promise<void> {
    const { signal } = this.#stop;
    const { log } = this.#options;
    try {
      signal.throwIfAborted();
      await this.#options.idle?.(signal);
      const started = performance.now();
      const stored = await this.#upload(await open());
      if (stored === undefined) return;
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      log?.info(
        `${name}: stored ${formatBytes(stored)} in ${this.#bucket.description} in ${seconds} s`,
      );
    } catch (error) {
      if (signal.aborted) return;
      // A later load may have more luck.
      this.#known.delete(name);
      log?.warn(`${name} was not stored in ${this.#bucket.description}: ${messageOf(error)}`);
    }
  }

  /** Bytes stored; undefined where another has stored it or is at it. */
  async #upload(artifact: ArtifactUpload): Promise<number | undefined> {
    const bucket = this.#bucket;
    const { signal } = this.#stop;
    const manifest = keyBelow(artifact.base, artifact.manifest);
    const isThere = async (): Promise<boolean> =>
      (await headObject(bucket, manifest, signal)) !== undefined;
    if (await isThere()) return undefined;
    const claimKey = keyBelow(artifact.base, 'uploads', artifact.manifest);
    const claim = await claimUpload(bucket, claimKey, { ...this.#options, signal });
    if (claim === undefined) return undefined;
    try {
      if (await isThere()) return undefined;
      const idle = async (during: AbortSignal): Promise<void> => {
        await this.#options.idle?.(during);
        if (!(await claim.renew(during))) throw new TakenOverError();
      };
      return (await uploadArtifact(bucket, artifact, { signal, idle })).stored;
    } catch (error) {
      if (error instanceof TakenOverError) return undefined;
      throw error;
    } finally {
      await claim.release().catch(() => undefined);
    }
  }
}

/** Whether the worker stores in its bucket what it fetched from elsewhere. */
export function isSyncWanted(env: NodeJS.ProcessEnv): boolean {
  return !['0', 'false'].includes(env['VOXPOD_S3_SYNC']?.toLowerCase() ?? '');
}

const recordSchema = z.object({
  files: z.array(z.object({ path: z.string(), sha256: z.string().optional() })),
});

/** What `uploadArtifact` needs to know of a model's folder. */
export async function modelUpload(bucket: Bucket, model: LocalModel): Promise<ArtifactUpload> {
  const { repository, commit, folder } = model;
  const record = await readRecord(folder);
  const digests = new Map(record?.files.map(({ path, sha256 }) => [path, sha256]));
  const names = record?.files.map(({ path }) => path) ?? model.files ?? (await plainNames(folder));
  const files = await Promise.all(
    names.map(async (path): Promise<UploadFile> => {
      // Fixed now: the link may be moved to another blob.
      const file = await realpath(join(folder, path));
      return { path, file, sha256: digests.get(path) };
    }),
  );
  const revisions = model.revision === undefined ? await refsTo(model) : [model.revision];
  const named = revisions.filter((revision) => revision !== commit);
  return {
    base: modelBase(bucket, repository),
    files,
    manifest: `snapshots/${commit}.json`,
    describe: (described) => {
      const revision = named[0] ?? commit;
      const manifest: ModelManifest = { repository, revision, commit, files: described };
      return `${JSON.stringify(manifest, null, 1)}\n`;
    },
    refs: Object.fromEntries(named.map((revision) => [`refs/${revision}`, commit])),
  };
}

/** Names of the commit in models--org--name/refs, which stands beside snapshots/<commit>. */
async function refsTo({ folder, commit }: LocalModel): Promise<string[]> {
  const refs = join(folder, '..', '..', 'refs');
  const names = await readdir(refs).catch(() => []);
  const found = names.map(async (name) => {
    const text = await readFile(join(refs, name), 'utf8').catch(() => '');
    return text.trim() === commit ? [name] : [];
  });
  return (await Promise.all(found)).flat();
}

/** The record that the store writes into a model's folder; other tools' folders have none. */
async function readRecord(folder: string): Promise<z.infer<typeof recordSchema> | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(join(folder, 'voxpod.json'), 'utf8')));
  } catch {
    return undefined;
  }
}

async function plainNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.flatMap((entry) =>
    entry.isDirectory() ? [] : [relative(folder, join(entry.parentPath, entry.name))],
  );
  return names.filter((name) => !/(^|\/)\./.test(name) && name !== 'voxpod.json');
}
