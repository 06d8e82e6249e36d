/** What the model store asks of a bucket beside whole objects: sizes, ranges, conditions, lists. */
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { DownloadError } from '../../lib/errors.js';
import type { Bucket } from './bucket.js';
import { BucketError } from './bucket_errors.js';
import { checkKey } from './bucket_key.js';
import { ConnectionError } from './http.js';
import type { RangeSink } from './range_connection.js';

export interface ObjectFacts {
  bytes: number;
  /** As the server writes it, in quotes; undefined where it gives none. */
  etag: string | undefined;
}

/** The object is another one than it was when its download began. */
export class ObjectChangedError extends DownloadError {}

/** Undefined where there is no such object. */
export async function headObject(
  bucket: Bucket,
  key: string,
  signal: AbortSignal,
): Promise<ObjectFacts | undefined> {
  const action = { doing: `Looking for ${bucket.name}/${key}`, key };
  return bucket.call(action, signal, async (client, abortSignal) => {
    const { HeadObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new HeadObjectCommand({ Bucket: bucket.name, Key: checkKey(key) });
    try {
      const { ContentLength: bytes, ETag: etag } = await client.send(command, { abortSignal });
      return { bytes: bytes ?? 0, etag };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  });
}

/** The text of a small object; undefined where there is none. */
export async function readText(
  bucket: Bucket,
  key: string,
  signal: AbortSignal,
): Promise<{ text: string; etag: string | undefined; ageMs: number } | undefined> {
  const action = { doing: `Reading ${bucket.name}/${key}`, key };
  return bucket.call(action, signal, async (client, abortSignal) => {
    const { GetObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new GetObjectCommand({ Bucket: bucket.name, Key: checkKey(key) });
    try {
      const { Body: body, ETag: etag, LastModified } = await client.send(command, { abortSignal });
      const now = Date.now() + client.config.systemClockOffset;
      return {
        text: body instanceof Readable ? await text(body) : '',
        etag,
        ageMs: now - (LastModified?.getTime() ?? now),
      };
    } catch (error) {
      if (nameOf(error) === 'NoSuchKey') return undefined;
      throw error;
    }
  });
}

/**
 * Stores a small object only where `condition` holds: there is none yet, or still the one with that
 * ETag. False where it does not. Servers that know no conditions store it in any case.
 */
export async function putTextIf(
  bucket: Bucket,
  key: string,
  body: string,
  condition: { etag: string | undefined },
  signal: AbortSignal,
): Promise<boolean> {
  const action = { doing: `Storing ${bucket.name}/${key}`, key };
  const input = { Bucket: bucket.name, Key: checkKey(key), Body: Buffer.from(body) };
  const { etag } = condition;
  return bucket.call(action, signal, async (client, abortSignal) => {
    const { PutObjectCommand } = await import('@aws-sdk/client-s3');
    const demand = etag === undefined ? { IfNoneMatch: '*' } : { IfMatch: etag };
    try {
      await client.send(new PutObjectCommand({ ...input, ...demand }), { abortSignal });
      return true;
    } catch (error) {
      const status = statusOf(error);
      // 409: another conditional request on this key is under way. 404: the one to replace is gone.
      if (status === 412 || status === 409 || nameOf(error) === 'NoSuchKey') return false;
      if (status !== 501 && nameOf(error) !== 'NotImplemented') throw error;
      await client.send(new PutObjectCommand(input), { abortSignal });
      return true;
    }
  });
}

/**
 * Reads a range with the SDK's own client, which tries again by itself.
 * @throws BucketError; ObjectChangedError; ConnectionError where the answer broke off
 */
export async function readRange(
  bucket: Bucket,
  key: string,
  range: { from: number; length: number; etag: string | undefined },
  sink: RangeSink,
  signal: AbortSignal,
): Promise<void> {
  const { from, length, etag } = range;
  const action = { doing: `Reading ${bucket.name}/${key}`, key };
  const body = await bucket.call(action, signal, async (client, abortSignal) => {
    const { GetObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new GetObjectCommand({
      ...{ Bucket: bucket.name, Key: checkKey(key), Range: `bytes=${from}-${from + length - 1}` },
      ...(etag === undefined ? {} : { IfMatch: etag }),
    });
    try {
      const { Body, ContentRange } = await client.send(command, { abortSignal });
      if (!(Body instanceof Readable)) throw new Error('an answer without a body');
      if (ContentRange?.startsWith(`bytes ${from}-${from + length - 1}/`) === true) return Body;
      Body.destroy();
      const what = `${action.doing} failed: the server does not answer with the range that was asked for. Check AWS_ENDPOINT_URL, and what stands before that server`;
      throw new BucketError('BUCKET_FAILED', what);
    } catch (error) {
      // 416: it became shorter.
      if (![412, 416].includes(statusOf(error) ?? 0)) throw error;
      const what = `${bucket.name}/${key} was changed while it was downloaded`;
      throw new ObjectChangedError('DOWNLOAD_FAILED', what);
    }
  });
  let received = 0;
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      sink.see(chunk);
      await sink.write(chunk, from + received);
      received += chunk.length;
    }
  } catch (error) {
    signal.throwIfAborted();
    // Of the disk, not of the connection.
    if (Reflect.get(Object(error), 'syscall') === 'write') throw error;
    throw new ConnectionError('DOWNLOAD_FAILED', `${action.doing}: the connection broke`, {
      cause: error,
    });
  }
  if (received === length) return;
  const what = `${action.doing}: the answer ended after ${received} of ${length} bytes`;
  throw new ConnectionError('DOWNLOAD_FAILED', what);
}

export interface SignedGet {
  origin: string;
  path: string;
  headers: Record<string, string>;
}

/**
 * A request for the object, signed, as the SDK would send it. Holds for 15 minutes, by the S3 API,
 * and for any range of it: only the host and x-amz-* headers have to be among the signed.
 */
export async function signGet(
  bucket: Bucket,
  key: string,
  signal: AbortSignal,
): Promise<SignedGet> {
  const action = { doing: `Signing a request for ${bucket.name}/${key}`, key };
  return bucket.call(action, signal, async (client, abortSignal) => {
    const { GetObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new GetObjectCommand({ Bucket: bucket.name, Key: checkKey(key) });
    let signed: SignedGet | undefined;
    command.middlewareStack.add(
      () => (args) => {
        // After the signature, and in place of sending it.
        if (isHttpRequest(args.request)) signed = signedGet(args.request);
        return Promise.resolve({ response: {}, output: { $metadata: {} } });
      },
      { step: 'deserialize', priority: 'high', name: 'keepSigned' },
    );
    await client.send(command, { abortSignal });
    if (signed === undefined) throw new Error('the SDK signed nothing');
    return signed;
  });
}

/** The SDK's, as far as it is used here. */
interface HttpRequest {
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query?: Record<string, string | string[] | null>;
  headers: Record<string, string>;
}

function signedGet({ protocol, hostname, port, path, query, headers }: HttpRequest): SignedGet {
  const encoded = Object.entries(query ?? {}).flatMap(([name, value]) =>
    [value].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one ?? '')}`),
  );
  return {
    origin: `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`,
    path: encoded.length === 0 ? path : `${path}?${encoded.join('&')}`,
    headers: { ...headers },
  };
}

function isHttpRequest(value: unknown): value is HttpRequest {
  return typeof value === 'object' && value !== null && 'hostname' in value && 'headers' in value;
}

export function statusOf(error: unknown): number | undefined {
  const metadata: unknown = Reflect.get(Object(error), '$metadata');
  const status: unknown = Reflect.get(Object(metadata), 'httpStatusCode');
  return typeof status === 'number' ? status : undefined;
}

export function nameOf(error: unknown): string {
  const name: unknown = Reflect.get(Object(error), 'name');
  return typeof name === 'string' ? name : '';
}
