/**
 * Which bucket a job's outputs go to. Credentials belong to the worker's environment; those in a job
 * pass through queues, logs and other people's hands, so a job that carries any is refused, unless
 * the worker's owner allows RunPod's own field for them, `s3Config`.
 */
import { z } from 'zod';
import { JobError, VoxpodError } from '../../lib/errors.js';
import type { Job } from '../runpod/job.js';
import { Bucket, MAX_LINK_SECONDS, type BucketOptions } from '../storage/bucket.js';
import { readEndpoint } from '../storage/bucket_endpoint.js';
import {
  BUCKET_NAME,
  cleanPrefix,
  readBucketEnvironment,
  type BucketEnvironment,
  type BucketSettings,
} from '../storage/bucket_environment.js';
import { guardedLookup, resolveHost } from './address_guard.js';

export interface JobBucketsOptions {
  environment: BucketEnvironment;
  /** Honour `s3Config` of a job. */
  allowRequestS3: boolean;
  /** Let `s3Config` name a private address: for development. */
  allowPrivateUrls: boolean;
  /** For every bucket. */
  bucketOptions?: Omit<BucketOptions, 'lookup'>;
}

/** An output that was stored. */
export interface StoredOutput {
  url: string;
  bytes: number;
  /** When the link ends. */
  expiresAt: Date;
}

/** RunPod's: stands beside `input` in a job. */
const s3ConfigSchema = z.object({
  accessId: z.string().min(1).max(256),
  accessSecret: z.string().min(1).max(1024),
  bucketName: z.string().regex(BUCKET_NAME, { error: 'is no name of a bucket' }),
  endpointUrl: z.string().min(1).max(2048),
  objectPath: z.string().max(512).nullish(),
});

/** Fields that hold keys to a bucket in SDKs and workers, in lower case and without "_" and "-". */
const CREDENTIALS = new Set([
  's3config',
  's3credentials',
  'credentials',
  'awscredentials',
  'bucketcreds',
  'bucketcredentials',
  'accessid',
  'accesssecret',
  'accesskey',
  'accesskeyid',
  'secretkey',
  'secretaccesskey',
  'sessiontoken',
  'awsaccesskeyid',
  'awssecretaccesskey',
  'awssessiontoken',
  'bucketaccesskeyid',
  'bucketsecretaccesskey',
  's3accesskey',
  's3accesskeyid',
  's3secretkey',
  's3secretaccesskey',
]);

export class JobBuckets {
  /** The environment's. */
  readonly bucket: Bucket | undefined;
  /** Why there is none, naming the variables that are missing; '' where there is one. */
  readonly reason: string;
  readonly #options: JobBucketsOptions;

  constructor(options: JobBucketsOptions) {
    const { environment } = options;
    this.#options = options;
    this.bucket = environment.settings && new Bucket(environment.settings, options.bucketOptions);
    this.reason = environment.settings === undefined ? environment.reason : '';
  }

  /** By AWS_*, VOXPOD_S3_*, VOXPOD_ALLOW_REQUEST_S3=1 and VOXPOD_ALLOW_PRIVATE_URLS=1. */
  static fromEnvironment(env: NodeJS.ProcessEnv = process.env): JobBuckets {
    return new JobBuckets({
      environment: readBucketEnvironment(env),
      allowRequestS3: env['VOXPOD_ALLOW_REQUEST_S3'] === '1',
      allowPrivateUrls: env['VOXPOD_ALLOW_PRIVATE_URLS'] === '1',
    });
  }

  /**
   * The environment's bucket.
   * @throws JobError BUCKET_NOT_CONFIGURED; the message begins with `what`.
   */
  require(what: string): Bucket {
    if (this.bucket !== undefined) return this.bucket;
    throw new JobError(
      'BUCKET_NOT_CONFIGURED',
      `${what} needs a bucket on the worker, which has none: ${this.reason}`,
    );
  }

  /**
   * Where this job's outputs go; undefined where there is no bucket. A handler asks before it works,
   * so that a job that is refused costs nothing.
   * @throws JobError CREDENTIALS_FORBIDDEN, JOB_INVALID for a wrong s3Config, URL_FORBIDDEN for its
   * endpoint.
   */
  async forJob(job: Job): Promise<Bucket | undefined> {
    const { allowRequestS3 } = this.#options;
    const own = carried(job);
    const inside = carried(job.input).map((name) => `input.${name}`);
    const forbidden = [...own.filter((name) => !allowRequestS3 || name !== 's3Config'), ...inside];
    if (forbidden.length > 0) throw credentialsForbidden(forbidden, allowRequestS3);
    return own.includes('s3Config') ? this.#requested(job['s3Config']) : this.bucket;
  }

  async #requested(value: unknown): Promise<Bucket> {
    const parsed = s3ConfigSchema.safeParse(value);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw wrongConfig(issue?.path.join('.') ?? '', issue?.message ?? 'is not as it should be');
    }
    const { accessId, accessSecret, bucketName, endpointUrl, objectPath } = parsed.data;
    const endpoint = readEndpoint(endpointUrl, bucketName);
    if (typeof endpoint === 'string') throw wrongConfig('endpointUrl', endpoint);
    const prefix = cleanPrefix(objectPath ?? '');
    if (prefix === undefined) {
      throw wrongConfig('objectPath', 'has an empty, "." or ".." part');
    }
    const { allowPrivateUrls, bucketOptions } = this.#options;
    if (!allowPrivateUrls) await checkAddress(endpoint.url ?? endpointUrl);
    const settings: BucketSettings = {
      bucket: bucketName,
      prefix,
      endpoint: endpoint.url,
      region: endpoint.region,
      pathStyle: endpoint.pathStyle,
      credentials: { accessKeyId: accessId, secretAccessKey: accessSecret },
      source: 'job',
    };
    return new Bucket(settings, {
      ...bucketOptions,
      ...(allowPrivateUrls ? {} : { lookup: guardedLookup }),
    });
  }
}

/**
 * Stores an output of a job under a key of its own and signs a link to it.
 * @throws BucketError BUCKET_FAILED; the signal's reason when it aborts.
 */
export async function storeOutput(
  bucket: Bucket,
  output: {
    jobId: string;
    /** Of the file, as in "speech.mp3"; the end of the key. */
    name: string;
    body: Uint8Array | string;
    contentType: string;
    /** Default and at most seven days. */
    expiresSeconds?: number;
    signal?: AbortSignal;
  },
): Promise<StoredOutput> {
  const { jobId, name, body, contentType, signal } = output;
  const key = bucket.keyFor(jobId, name);
  await bucket.put(key, body, { contentType, ...(signal === undefined ? {} : { signal }) });
  const expiresSeconds = output.expiresSeconds ?? MAX_LINK_SECONDS;
  const expiresAt = new Date(Date.now() + expiresSeconds * 1000);
  const url = await bucket.presignedUrl(key, { expiresSeconds });
  return { url, bytes: Buffer.byteLength(body), expiresAt };
}

/** Names of fields that hold credentials; an empty one holds none. */
function carried(value: unknown): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value)
    .filter(([name, held]) => CREDENTIALS.has(plain(name)) && !isEmpty(held))
    .map(([name]) => name);
}

/** "AWS_ACCESS-key_id" as "awsaccesskeyid". */
function plain(name: string): string {
  return name.slice(0, 50).toLowerCase().replace(/[_-]/g, '');
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function credentialsForbidden(names: readonly string[], allowRequestS3: boolean): JobError {
  const carries = `The job carries credentials (${names.map((name) => name.slice(0, 60)).join(', ')}), which are not taken from jobs. Leave them out`;
  return new JobError(
    'CREDENTIALS_FORBIDDEN',
    allowRequestS3
      ? `${carries}: this worker takes a bucket for one job in s3Config beside input, else its own`
      : `${carries} and give the worker its bucket by AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and VOXPOD_S3_BUCKET in the endpoint's environment; VOXPOD_ALLOW_REQUEST_S3=1 there allows RunPod's s3Config`,
  );
}

function wrongConfig(name: string, problem: string): JobError {
  return new JobError(
    'JOB_INVALID',
    `s3Config${name === '' ? '' : `.${name}`} ${problem}. It holds accessId, accessSecret, bucketName, endpointUrl and maybe objectPath, all of them text`,
  );
}

async function checkAddress(url: string): Promise<void> {
  try {
    await resolveHost(new URL(url).hostname, false);
  } catch (error) {
    if (!(error instanceof VoxpodError)) throw error;
    throw new JobError(error.code, `s3Config.endpointUrl: ${error.message}`);
  }
}
