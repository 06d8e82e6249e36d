/**
 * What lies in a bucket as one thing: a model, or libtorch. Its files are objects named by their
 * SHA-256; a manifest, written last, makes them visible:
 *   models/models--org--name/blobs/<sha256>, snapshots/<commit>.json, refs/<revision>
 */
import { z } from 'zod';

/** Of a file that is fetched or stored by itself; 5 MiB to 5 GiB, by the S3 API. */
const PART_BYTES = 8 * 1024 * 1024;
/** Of one upload, by the S3 API. */
const MAX_PARTS = 10_000;

export interface ArtifactPart {
  offset: number;
  length: number;
  crc32: number;
}

export interface ArtifactFile {
  /** Relative, with forward slashes. */
  path: string;
  size: number;
  sha256: string;
  /** All of the file, in order. */
  parts: ArtifactPart[];
}

const count = z.number().int().nonnegative();
const partSchema = z.object({ offset: count, length: count, crc32: count.max(0xffffffff) });

/** A file of a manifest; what others wrote into the bucket is not trusted to stay in its folder. */
export const artifactFileSchema: z.ZodType<ArtifactFile> = z
  .object({
    path: z.string().regex(/^[\w-][\w.+-]*(\/[\w-][\w.+-]*)*$/),
    size: count,
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    parts: z.array(partSchema).max(MAX_PARTS),
  })
  .refine(({ size, parts }) => {
    let end = 0;
    for (const { offset, length } of parts) {
      if (offset !== end || length === 0) return false;
      end += length;
    }
    return end === size;
  }, 'parts that do not make up the file');

/** The parts of a file of that size, without their checksums. Everyone cuts it the same way. */
export function partsOf(size: number): { offset: number; length: number }[] {
  let bytes = PART_BYTES;
  while (bytes * MAX_PARTS < size) bytes *= 2;
  return Array.from({ length: Math.ceil(size / bytes) }, (_, index) => ({
    offset: index * bytes,
    length: Math.min(bytes, size - index * bytes),
  }));
}

/** A key below the bucket's prefix. */
export function keyBelow(prefix: string, ...parts: string[]): string {
  return [prefix, ...parts].filter((part) => part !== '').join('/');
}
