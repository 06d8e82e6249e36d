/**
 * One bucket of an S3 server: Amazon's, Backblaze's, R2, MinIO, ... The SDK behind it takes 150 ms
 * and 25 MB to load, so it is loaded at the first call: a worker that stores nothing pays nothing.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { checkNumber } from '../../lib/validate.js';
import { untilAborted } from '../abort.js';
import { BucketError, explainBucketError, type BucketAction } from './bucket_errors.js';
import { describeEndpoint, type BucketSettings } from './bucket_environment.js';
import { checkKey, jobKey } from './bucket_key.js';

export interface BucketOptions {
  /** Milliseconds until a connection must stand. Default 10 s. */
  connectMs?: number;
  /** The longest silence on a connection, in milliseconds. Default 30 s. */
  stallMs?: number;
  /** For storing one object, with all attempts, in milliseconds. Default 10 minutes. */
  totalMs?: number;
  /** Tries of one call through 5xx, 429 and broken connections. Default 5. */
  attempts?: number;
  /**
   * Resolves the host of each connection: for an endpoint that a stranger chose. It is not asked
   * about literal addresses. Connections are then not kept.
   */
  lookup?: LookupFunction;
}

export interface PutOptions {
  contentType?: string;
  signal?: AbortSignal;
}

export interface BucketObject {
  /** Bytes, where the server says so. */
  bytes: number | undefined;
  /** To be read to its end, or left; abandoned only by aborting the signal. */
  body: AsyncIterable<Uint8Array>;
}

/** The most that a signature of version 4 lasts, in seconds. */
export const MAX_LINK_SECONDS = 7 * 24 * 3600;

export class Bucket {
  readonly #settings: BucketSettings;
  readonly #options: BucketOptions;
  #client: Promise<S3Client> | undefined;

  constructor(settings: BucketSettings, options: BucketOptions = {}) {
    this.#settings = settings;
    this.#options = options;
  }

  get name(): string {
    return this.#settings.bucket;
  }

  /** Without slashes at its ends; '' is the whole bucket. */
  get prefix(): string {
    return this.#settings.prefix;
  }

  /** A new key for an output of a job, which nobody can guess. */
  keyFor(jobId: string, name: string): string {
    return jobKey(this.prefix, jobId, name);
  }

  /**
   * Stores an object under a whole key (with the prefix), over one that is there.
   * @throws BucketError BUCKET_FAILED; the signal's reason when it aborts.
   */
  async put(key: string, body: Uint8Array | string, options: PutOptions = {}): Promise<void> {
    const totalMs = this.#options.totalMs ?? 600_000;
    const deadline = AbortSignal.timeout(totalMs);
    const action = { doing: `Storing ${this.name}/${key}`, key };
    const input = {
      Bucket: this.name,
      Key: checkKey(key),
      // The SDK does not send the length of an empty string.
      Body: typeof body === 'string' ? Buffer.from(body) : body,
      ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
    };
    try {
      await this.#call(action, join(options.signal, deadline), async (client, signal) => {
        const { PutObjectCommand } = await import('@aws-sdk/client-s3');
        await client.send(new PutObjectCommand(input), { abortSignal: signal });
      });
    } catch (error) {
      if (error !== deadline.reason) throw error;
      throw new BucketError(
        'BUCKET_FAILED',
        `${action.doing} took longer than ${totalMs / 1000} s. Use a bucket that is nearer`,
      );
    }
  }

  /**
   * Opens an object under a whole key (with the prefix). What breaks while its body is read is
   * thrown from there.
   * @throws BucketError BUCKET_FAILED; the signal's reason when it aborts.
   */
  async get(key: string, options: { signal?: AbortSignal } = {}): Promise<BucketObject> {
    const signal = options.signal ?? new AbortController().signal;
    const action = { doing: `Reading ${this.name}/${key}`, key };
    const input = { Bucket: this.name, Key: checkKey(key) };
    const output = await this.#call(action, signal, async (client) => {
      const { GetObjectCommand } = await import('@aws-sdk/client-s3');
      return client.send(new GetObjectCommand(input), { abortSignal: signal });
    });
    const { Body: stream, ContentLength: bytes } = output;
    // In Node the SDK's body is the response itself; anything else has nothing to read.
    const body = stream instanceof Readable ? stream : Readable.from([]);
    return { bytes, body: this.#read(body, action, signal) };
  }

  /**
   * Deletes an object under a whole key; one that is not there is no error.
   * @throws BucketError BUCKET_FAILED; the signal's reason when it aborts.
   */
  async delete(key: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    const signal = options.signal ?? new AbortController().signal;
    const input = { Bucket: this.name, Key: checkKey(key) };
    await this.#call({ doing: `Deleting ${this.name}/${key}`, key }, signal, async (client) => {
      const { DeleteObjectCommand } = await import('@aws-sdk/client-s3');
      await client.send(new DeleteObjectCommand(input), { abortSignal: signal });
    });
  }

  /**
   * A link that lets anyone read the object, for at most seven days; one signed with a session's
   * keys (AWS_SESSION_TOKEN) ends with the session.
   * @throws ArgumentError INVALID_ARGUMENT where `expiresSeconds` is out of range.
   */
  async presignedUrl(key: string, options: { expiresSeconds?: number } = {}): Promise<string> {
    const expiresIn = checkNumber('expiresSeconds', options.expiresSeconds ?? MAX_LINK_SECONDS, {
      min: 1,
      max: MAX_LINK_SECONDS,
      integer: true,
    });
    const input = { Bucket: this.name, Key: checkKey(key) };
    const action = { doing: `Signing a link to ${this.name}/${key}`, key };
    return this.#call(action, new AbortController().signal, async (client) => {
      const { GetObjectCommand } = await import('@aws-sdk/client-s3');
      const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
      // What the SDK has learnt of the server's clock; the presigner itself goes by this machine's.
      const signingDate = new Date(Date.now() + client.config.systemClockOffset);
      return getSignedUrl(client, new GetObjectCommand(input), { expiresIn, signingDate });
    });
  }

  /**
   * For what this class does not do itself: the SDK's client, with errors explained. A VoxpodError
   * that `work` throws is passed on as it is.
   * @throws BucketError BUCKET_FAILED; the signal's reason when it aborts.
   */
  async call<T>(
    action: BucketAction,
    signal: AbortSignal,
    work: (client: S3Client, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.#call(action, signal, work);
  }

  /** For messages: "the bucket models at https://...". */
  get description(): string {
    return `the bucket ${this.name} at ${describeEndpoint(this.#settings)}`;
  }

  /** Closes connections that are kept for a next call. */
  async dispose(): Promise<void> {
    const client = await this.#client;
    client?.destroy();
    this.#client = undefined;
  }

  async *#read(
    body: Readable,
    action: BucketAction,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of body) {
        if (chunk instanceof Uint8Array) yield chunk;
      }
    } catch (error) {
      signal.throwIfAborted();
      throw explainBucketError(error, this.#settings, action);
    } finally {
      body.destroy();
    }
  }

  async #call<T>(
    action: BucketAction,
    signal: AbortSignal,
    work: (client: S3Client, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    this.#client ??= this.#connect();
    const client = await this.#client;
    try {
      // The SDK hears of an abort only between two waits of its own.
      return await untilAborted(work(client, signal), signal);
    } catch (error) {
      signal.throwIfAborted();
      throw explainBucketError(error, this.#settings, action);
    }
  }

  async #connect(): Promise<S3Client> {
    const { endpoint, region, pathStyle, credentials } = this.#settings;
    const { lookup } = this.#options;
    // A notice about Node versions of later releases, for whoever raises the pinned one.
    process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
    const { S3Client: Client } = await import('@aws-sdk/client-s3');
    const agent = {
      keepAlive: lookup === undefined,
      maxSockets: 50,
      ...(lookup === undefined ? {} : { lookup }),
    };
    return new Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      region,
      forcePathStyle: pathStyle,
      credentials,
      maxAttempts: this.#options.attempts ?? 5,
      retryMode: 'standard',
      // The SDK's default is a CRC32 after the body ("aws-chunked" with a trailer), which Backblaze
      // and older servers of other makes answer with 400 or 501, and a demand for one in every
      // link and answer. TLS guards the way; what needs more is checked by its own digest.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // "Expect: 100-continue" is not understood everywhere, and costs a second where it is not.
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: this.#options.connectMs ?? 10_000,
        socketTimeout: this.#options.stallMs ?? 30_000,
        // Agents of our own: for some requests the SDK makes others, without the look-up.
        httpAgent: new HttpAgent(agent),
        httpsAgent: new HttpsAgent(agent),
      },
    });
  }
}

function join(signal: AbortSignal | undefined, deadline: AbortSignal): AbortSignal {
  return signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
}
