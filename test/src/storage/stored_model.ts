/** A model for tests of the bucket: made, stored, fetched. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { VoxpodError, type ErrorCode } from '../../../lib/errors.js';
import { Bucket, type BucketOptions } from '../../../src/storage/bucket.js';
import type { BucketSettings } from '../../../src/storage/bucket_environment.js';
import { BucketSource, type BucketDownloadOptions } from '../../../src/storage/bucket_source.js';
import { uploadArtifact } from '../../../src/storage/bucket_upload.js';
import { modelUpload, type LocalModel } from '../../../src/storage/model_sync.js';
import type { FetchContext } from '../../../src/storage/source.js';
import {
  RangeServer,
  type RangeFault,
  type RangeRequestFacts,
  type RangeServerOptions,
} from './range_server.js';
import { temporaryFolder } from './temporary.js';

export const REPOSITORY = 'org/whisper-made';
export const COMMIT = 'c0'.repeat(20);
/** Three parts, the last one short. */
export const WEIGHTS_BYTES = 2 * 8 * 2 ** 20 + 12_345;

/** Bytes that are the same each time, and nowhere the same. */
export function madeBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(Math.ceil(length / 4) * 4);
  let state = seed;
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes.writeInt32LE(state, at);
  }
  return bytes.subarray(0, length);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A folder of a model with weights of that many bytes, a small file and an empty one. */
export async function makeModel(folder: string, bytes = WEIGHTS_BYTES): Promise<LocalModel> {
  const place = join(folder, 'models--org--whisper-made', 'snapshots', COMMIT);
  await mkdir(place, { recursive: true });
  await mkdir(join(place, '..', '..', 'refs'));
  await writeFile(join(place, '..', '..', 'refs', 'main'), COMMIT);
  await writeFile(join(place, 'config.json'), '{"model_type":"whisper"}');
  await writeFile(join(place, 'empty.txt'), '');
  await writeFile(join(place, 'model.safetensors'), madeBytes(bytes));
  return { repository: REPOSITORY, commit: COMMIT, folder: place };
}

export async function startRangeServer(
  t: TestContext,
  options?: RangeServerOptions,
): Promise<RangeServer> {
  const server = new RangeServer(options);
  await server.listen();
  t.after(() => server.close());
  return server;
}

export function openBucket(
  t: TestContext,
  settings: BucketSettings,
  options?: BucketOptions,
): Bucket {
  const bucket = new Bucket(settings, options);
  t.after(() => bucket.dispose());
  return bucket;
}

export async function storeModel(bucket: Bucket, model: LocalModel): Promise<void> {
  const { signal } = new AbortController();
  await uploadArtifact(bucket, await modelUpload(bucket, model), { signal });
}

/** A source and a context that keeps what is reported. */
export function sourceOf(
  bucket: Bucket,
  options: BucketDownloadOptions & { signal?: AbortSignal } = {},
) {
  const lines: string[] = [];
  const progress: number[] = [];
  const context: FetchContext = {
    signal: options.signal ?? new AbortController().signal,
    onProgress: (bytes) => progress.push(bytes),
    log: (line) => lines.push(line),
  };
  const source = new BucketSource(bucket, [{ repository: REPOSITORY, revision: 'main' }], {
    pauseMs: 20,
    ...options,
  });
  const fetch = async (folder: string): Promise<void> => {
    await source.fetch(await source.list(context), folder, context);
  };
  return { source, context, lines, progress, fetch };
}

/** What lies in a folder: each name with the digest of its bytes. */
export async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const entries = names.map(async (name) => [name, sha256(await readFile(join(folder, name)))]);
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>;
}

/** What the weights are called in a bucket. */
export const WEIGHTS = sha256(madeBytes(WEIGHTS_BYTES));
export const PART = 8 * 2 ** 20;

/** A server with the model in it, and an empty folder. */
export async function prepare(t: TestContext, options: BucketOptions = {}) {
  const server = await startRangeServer(t);
  const folder = await temporaryFolder(t);
  const bucket = openBucket(t, server.settings('models', 'pods'), { attempts: 2, ...options });
  await storeModel(bucket, await makeModel(join(folder, 'cache')));
  server.requests.length = 0;
  server.sent = 0;
  const target = await temporaryFolder(t);
  return { server, bucket, target };
}

/** The fault for the first requests for ranges of the weights, as many as there are faults. */
export function onRanges(server: RangeServer, ...faults: (RangeFault | undefined)[]): void {
  server.fault = ({ key, range }: RangeRequestFacts) =>
    key.includes(WEIGHTS) && range ? faults.shift() : undefined;
}

export const failsWith = (code: ErrorCode, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof VoxpodError, String(error));
  assert.match(error.message, message);
  assert.equal(error.code, code);
  return true;
};

export async function assertWhole(target: string): Promise<void> {
  const found = await contents(target);
  assert.equal(Object.keys(found).length, 3);
  for (const [name, digest] of Object.entries(found)) assert.equal(name, digest);
  assert.ok(WEIGHTS in found);
}
