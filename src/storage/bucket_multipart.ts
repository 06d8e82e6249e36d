/** Storing large objects in parts, with what an earlier attempt has stored already. */
import type { Bucket } from './bucket.js';
import { nameOf, statusOf } from './bucket_objects.js';
import { checkKey } from './bucket_key.js';

export interface MultipartUpload {
  key: string;
  id: string;
  initiated: Date;
}

export interface StoredPart {
  number: number;
  etag: string;
  bytes: number;
}

/** The upload is not there any more: completed or given up, by another process say. */
export class UploadGoneError extends Error {}

/** Uploads below a key that were begun and not completed, oldest first. */
export async function listUploads(
  bucket: Bucket,
  prefix: string,
  signal: AbortSignal,
): Promise<MultipartUpload[]> {
  const action = { doing: `Listing uploads to ${bucket.name}/${prefix}`, key: prefix };
  return bucket.call(action, signal, async (client, abortSignal) => {
    const { ListMultipartUploadsCommand } = await import('@aws-sdk/client-s3');
    const uploads: MultipartUpload[] = [];
    for (let marker: { KeyMarker: string; UploadIdMarker?: string } | undefined; ;) {
      const page = await client.send(
        new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: prefix, ...marker }),
        { abortSignal },
      );
      for (const { Key: key, UploadId: id, Initiated: initiated } of page.Uploads ?? []) {
        if (key !== undefined && id !== undefined) {
          uploads.push({ key, id, initiated: initiated ?? new Date() });
        }
      }
      const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
      if (page.IsTruncated !== true || KeyMarker === undefined) break;
      marker = { KeyMarker, ...(UploadIdMarker === undefined ? {} : { UploadIdMarker }) };
    }
    return uploads.sort((a, b) => a.initiated.getTime() - b.initiated.getTime());
  });
}

export async function startUpload(
  bucket: Bucket,
  key: string,
  signal: AbortSignal,
): Promise<MultipartUpload> {
  const action = { doing: `Storing ${bucket.name}/${key}`, key };
  return bucket.call(action, signal, async (client, abortSignal) => {
    const { CreateMultipartUploadCommand } = await import('@aws-sdk/client-s3');
    const command = new CreateMultipartUploadCommand({ Bucket: bucket.name, Key: checkKey(key) });
    const { UploadId: id } = await client.send(command, { abortSignal });
    if (id === undefined) throw new Error('the server gave no id of an upload');
    return { key, id, initiated: new Date() };
  });
}

/** @throws UploadGoneError */
export async function listParts(
  bucket: Bucket,
  upload: MultipartUpload,
  signal: AbortSignal,
): Promise<StoredPart[]> {
  return ofUpload(bucket, upload, signal, async (client, abortSignal) => {
    const { ListPartsCommand } = await import('@aws-sdk/client-s3');
    const parts: StoredPart[] = [];
    for (let marker: string | undefined; ;) {
      const page = await client.send(
        new ListPartsCommand({
          ...{ Bucket: bucket.name, Key: upload.key, UploadId: upload.id },
          ...(marker === undefined ? {} : { PartNumberMarker: marker }),
        }),
        { abortSignal },
      );
      for (const { PartNumber: number, ETag: etag, Size: bytes } of page.Parts ?? []) {
        if (number !== undefined && etag !== undefined) {
          parts.push({ number, etag, bytes: bytes ?? 0 });
        }
      }
      marker = page.NextPartNumberMarker;
      if (page.IsTruncated !== true || marker === undefined) return parts;
    }
  });
}

/** @throws UploadGoneError */
export async function putPart(
  bucket: Bucket,
  upload: MultipartUpload,
  number: number,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<StoredPart> {
  return ofUpload(bucket, upload, signal, async (client, abortSignal) => {
    const { UploadPartCommand } = await import('@aws-sdk/client-s3');
    const command = new UploadPartCommand({
      ...{ Bucket: bucket.name, Key: upload.key, UploadId: upload.id },
      ...{ PartNumber: number, Body: body },
    });
    const { ETag: etag } = await client.send(command, { abortSignal });
    if (etag === undefined) throw new Error('the server gave no ETag of a part');
    return { number, etag, bytes: body.length };
  });
}

/** @throws UploadGoneError */
export async function completeUpload(
  bucket: Bucket,
  upload: MultipartUpload,
  parts: readonly StoredPart[],
  signal: AbortSignal,
): Promise<void> {
  await ofUpload(bucket, upload, signal, async (client, abortSignal) => {
    const { CompleteMultipartUploadCommand } = await import('@aws-sdk/client-s3');
    const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }));
    const command = new CompleteMultipartUploadCommand({
      ...{ Bucket: bucket.name, Key: upload.key, UploadId: upload.id },
      MultipartUpload: { Parts },
    });
    await client.send(command, { abortSignal });
  });
}

/** One that is gone already is no error. */
export async function abortUpload(
  bucket: Bucket,
  upload: MultipartUpload,
  signal: AbortSignal,
): Promise<void> {
  const aborting = ofUpload(bucket, upload, signal, async (client, abortSignal) => {
    const { AbortMultipartUploadCommand } = await import('@aws-sdk/client-s3');
    const { key: Key, id: UploadId } = upload;
    const command = new AbortMultipartUploadCommand({ Bucket: bucket.name, Key, UploadId });
    await client.send(command, { abortSignal });
  });
  await aborting.catch((error: unknown) => {
    if (!(error instanceof UploadGoneError)) throw error;
  });
}

type Work<T> = Parameters<typeof Bucket.prototype.call<T>>[2];

async function ofUpload<T>(
  bucket: Bucket,
  { key }: MultipartUpload,
  signal: AbortSignal,
  work: Work<T>,
): Promise<T> {
  const outcome = await bucket.call<{ value: T } | undefined>(
    { doing: `Storing ${bucket.name}/${key}`, key },
    signal,
    async (client, abortSignal) => {
      try {
        return { value: await work(client, abortSignal) };
      } catch (error) {
        if (nameOf(error) === 'NoSuchUpload') return undefined;
        // Without a body of its error: a proxy's, or a HEAD's.
        if (statusOf(error) === 404 && nameOf(error) === 'NotFound') return undefined;
        throw error;
      }
    },
  );
  if (outcome === undefined) throw new UploadGoneError(`the upload to ${key} is gone`);
  return outcome.value;
}
