/** Models that lie in a bucket, as voxpod itself stored them there. */
import { join } from 'node:path';
import { z } from 'zod';
import { DownloadError, ModelError } from '../../lib/errors.js';
import { artifactFileSchema, keyBelow, type ArtifactFile } from './artifact.js';
import type { Bucket } from './bucket.js';
import {
  headObject,
  ObjectChangedError,
  readRange,
  readText,
  signGet,
  type SignedGet,
} from './bucket_objects.js';
import { UnexpectedAnswerError } from './range_connection.js';
import { downloadRanged, type RangedFile, type RangedOptions } from './ranged_download.js';
import type { FetchContext, Source, SourceListing } from './source.js';

/** "models/models--org--name" */
export function modelBase(bucket: Bucket, repository: string): string {
  return keyBelow(bucket.prefix, 'models', `models--${repository.replaceAll('/', '--')}`);
}

export interface ModelManifest {
  repository: string;
  revision: string;
  commit: string;
  files: ArtifactFile[];
}

const manifestSchema: z.ZodType<ModelManifest> = z.object({
  repository: z.string(),
  revision: z.string(),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  files: z.array(artifactFileSchema),
});

export type BucketDownloadOptions = Pick<RangedOptions, 'attempts' | 'pauseMs' | 'stallMs'>;

export class BucketSource implements Source {
  readonly kind = 's3';
  readonly description: string;
  readonly #bucket: Bucket;
  readonly #candidates: readonly { repository: string; revision: string }[];
  readonly #options: BucketDownloadOptions;
  #manifest: ModelManifest | undefined;

  /** The first of the candidates that is in the bucket is taken. */
  constructor(
    bucket: Bucket,
    candidates: readonly { repository: string; revision: string }[],
    options: BucketDownloadOptions = {},
  ) {
    this.description = bucket.description;
    this.#bucket = bucket;
    this.#candidates = candidates;
    this.#options = options;
  }

  async list({ signal }: FetchContext): Promise<SourceListing> {
    for (const { repository, revision } of this.#candidates) {
      const manifest = await readModelManifest(this.#bucket, repository, revision, signal);
      if (manifest === undefined) continue;
      this.#manifest = manifest;
      const { commit } = manifest;
      const files = manifest.files.map(({ path, size, sha256 }) => ({
        ...{ path, size },
        digest: { algorithm: 'sha256' as const, hex: sha256 },
      }));
      return { repository, commit, files, scratchBytes: 0 };
    }
    const names = this.#candidates.map((one) => `${one.repository}@${one.revision}`).join(', ');
    throw new ModelError('MODEL_NOT_FOUND', `${this.description} does not hold ${names} yet`);
  }

  async fetch(listing: SourceListing, folder: string, context: FetchContext): Promise<void> {
    const wanted = new Set(listing.files.map(({ digest }) => digest.hex));
    const { repository, files = [] } = this.#manifest ?? { repository: listing.repository };
    const base = modelBase(this.#bucket, repository);
    await downloadArtifact(
      this.#bucket,
      base,
      files.filter(({ sha256 }) => wanted.has(sha256)),
      (file) => join(folder, file.sha256),
      { ...context, ...this.#options },
    );
  }
}

/** Undefined where the bucket does not hold that state of the model. */
export async function readModelManifest(
  bucket: Bucket,
  repository: string,
  revision: string,
  signal: AbortSignal,
): Promise<ModelManifest | undefined> {
  const base = modelBase(bucket, repository);
  let commit = revision;
  if (!/^[0-9a-f]{40}$/.test(revision)) {
    commit = (await readText(bucket, keyBelow(base, 'refs', revision), signal))?.text.trim() ?? '';
    if (!/^[0-9a-f]{40}$/.test(commit)) return undefined;
  }
  return readManifest(
    bucket,
    keyBelow(base, 'snapshots', `${commit}.json`),
    manifestSchema,
    signal,
  );
}

/** @throws DownloadError DOWNLOAD_FAILED where the object is no manifest */
export async function readManifest<T>(
  bucket: Bucket,
  key: string,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const object = await readText(bucket, key, signal);
  if (object === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(object.text));
  } catch (cause) {
    throw new DownloadError(
      'DOWNLOAD_FAILED',
      `${bucket.name}/${key} is no manifest that voxpod wrote. Delete it; it is written again when the model is next stored`,
      { cause },
    );
  }
}

/**
 * Fetches files of an artifact below the key `base`.
 * @throws DownloadError, BucketError; the signal's reason
 */
export async function downloadArtifact(
  bucket: Bucket,
  base: string,
  files: readonly ArtifactFile[],
  destination: (file: ArtifactFile) => string,
  options: BucketDownloadOptions & FetchContext,
): Promise<void> {
  // Files with the same bytes are one object.
  const unique = [...new Map(files.map((file) => [file.sha256, file])).values()];
  const total = unique.reduce((sum, { size }) => sum + size, 0);
  const ranged = unique.map((file): RangedFile => ({
    ...file,
    ...{ name: file.path, destination: destination(file) },
    read: rangeReader(bucket, keyBelow(base, 'blobs', file.sha256), file.size, options.log),
  }));
  await downloadRanged(ranged, {
    ...options,
    onProgress: (bytes) => options.onProgress(bytes, total),
  });
}

/** A signature holds for 15 minutes, by clocks that differ. */
const SIGNATURE_MS = 5 * 60_000;

/**
 * Reads ranges of one object, all of the same state of it. One that was replaced is begun again,
 * once: parts of both that have their checksums fit together.
 */
function rangeReader(
  bucket: Bucket,
  key: string,
  size: number,
  log: (line: string) => void,
): RangedFile['read'] {
  let state: { etag: Promise<string | undefined>; changes: number } | undefined;
  let signature: { request: Promise<SignedGet>; until: number } | undefined;
  const look = async (signal: AbortSignal): Promise<string | undefined> => {
    const facts = await headObject(bucket, key, signal);
    if (facts?.bytes === size) return facts.etag;
    const what = facts === undefined ? 'is gone' : `has ${facts.bytes} bytes instead of ${size}`;
    throw new DownloadError(
      'DOWNLOAD_FAILED',
      `${bucket.name}/${key} ${what}, but a manifest names it. Store the model again`,
    );
  };
  const sign = (signal: AbortSignal): Promise<SignedGet> => {
    const now = performance.now();
    if (signature === undefined || now > signature.until) {
      signature = { request: signGet(bucket, key, signal), until: now + SIGNATURE_MS };
    }
    return signature.request;
  };
  return async (connection, range, sink, signal) => {
    for (;;) {
      state ??= { etag: look(signal), changes: 0 };
      const seen = state;
      const etag = await seen.etag;
      const { headers, ...request } = await sign(signal);
      const condition = etag === undefined ? {} : { 'if-match': etag };
      const demand = { ...request, ...range, headers: { ...headers, ...condition } };
      try {
        await connection.get(demand, sink, signal);
        return;
      } catch (error) {
        if (!(error instanceof UnexpectedAnswerError)) throw error;
      }
      signature = undefined;
      try {
        // The SDK knows what can be tried again, and what to say about what cannot.
        await readRange(bucket, key, { ...range, etag }, sink, signal);
        return;
      } catch (error) {
        if (!(error instanceof ObjectChangedError) || seen.changes > 0) throw error;
        // Many ranges find it out; one of them begins again for all.
        if (state === seen) {
          log(`${error.message}; starting again`);
          state = { etag: look(signal), changes: 1 };
        }
      }
    }
  };
}
