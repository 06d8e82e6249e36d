/**
 * libtorch in the bucket, so that a slim image starts without a package index:
 *   libtorch/2.11.0-cpu/blobs/<sha256>, manifest.json
 */
import { copyFile, mkdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import {
  installedLibtorch,
  readInstalled,
  TORCH_VERSION,
  type LibtorchManifest,
} from '../../lib/libtorch.js';
import { artifactFileSchema, keyBelow, type ArtifactFile } from '../storage/artifact.js';
import type { Bucket } from '../storage/bucket.js';
import { downloadArtifact, readManifest } from '../storage/bucket_source.js';
import type { ArtifactUpload } from '../storage/bucket_upload.js';
import { syncPath } from '../storage/publish.js';
import type { FetchContext } from '../storage/source.js';

const MANIFEST = 'manifest.json';

const manifestSchema = z.object({
  version: z.string().startsWith(TORCH_VERSION),
  files: z
    .array(artifactFileSchema)
    .refine((files) => files.every(({ path }) => /^lib\/[^/]+$/.test(path))),
});

export interface BucketLibtorch {
  version: string;
  files: ArtifactFile[];
}

/** Undefined where the bucket has none. */
export async function findInBucket(
  bucket: Bucket,
  cuda: boolean,
  signal: AbortSignal,
): Promise<BucketLibtorch | undefined> {
  return readManifest(
    bucket,
    keyBelow(libtorchBase(bucket, cuda), MANIFEST),
    manifestSchema,
    signal,
  );
}

/**
 * Fetches it into the folder `tree`, checked and synced. `parts`, a folder beside it, keeps what was
 * received for the next try.
 */
export async function fetchFromBucket(
  bucket: Bucket,
  { version, files }: BucketLibtorch,
  folders: { tree: string; parts: string; cuda: boolean },
  context: FetchContext,
): Promise<LibtorchManifest> {
  const { tree, parts, cuda } = folders;
  await mkdir(parts, { recursive: true });
  await mkdir(join(tree, 'lib'), { recursive: true });
  const place = ({ sha256 }: ArtifactFile): string => join(parts, sha256);
  await downloadArtifact(bucket, libtorchBase(bucket, cuda), files, place, context);
  for (const [index, file] of files.entries()) {
    const target = join(tree, file.path);
    // Two names of the same bytes are one object.
    if (files.slice(index + 1).some(({ sha256 }) => sha256 === file.sha256)) {
      await copyFile(place(file), target);
      await syncPath(target);
    } else {
      await rename(place(file), target);
    }
  }
  return {
    version,
    headers: false,
    files: files.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
  };
}

/** What is stored of an installed libtorch: its libraries, without headers. */
export function libtorchUpload(bucket: Bucket, directory: string): Promise<ArtifactUpload> {
  const { version, files } = readInstalled(directory);
  return Promise.resolve({
    base: libtorchBase(bucket, directory.endsWith('+cu130')),
    files: files.map(({ path, sha256 }) => ({ path, file: join(directory, path), sha256 })),
    manifest: MANIFEST,
    describe: (described) => `${JSON.stringify({ version, files: described }, null, 1)}\n`,
  });
}

function libtorchBase(bucket: Bucket, cuda: boolean): string {
  // A "+" in a key is a space to some servers.
  const name = basename(installedLibtorch('', cuda)).replace('+', '-');
  return keyBelow(bucket.prefix, 'libtorch', name);
}
