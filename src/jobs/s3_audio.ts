/**
 * Reads `s3://bucket/key` with the worker's credentials: from the worker's own bucket, below its own
 * prefix, and nothing else that those credentials open.
 */
import { DownloadError, JobError } from '../../lib/errors.js';
import { isSafeKey } from '../storage/bucket_key.js';
import type { JobBuckets } from './job_bucket.js';
import { transfer, type Received, type TransferLimits } from './transfer.js';

export function isS3Url(text: string): boolean {
  return /^s3:/i.test(text);
}

/**
 * @throws DownloadError URL_FORBIDDEN, DOWNLOAD_TOO_LARGE, DOWNLOAD_TIMEOUT; JobError
 * BUCKET_NOT_CONFIGURED; BucketError BUCKET_FAILED; the signal's reason when it aborts.
 */
export async function readS3Audio(
  url: string,
  limits: TransferLimits,
  options: { buckets: JobBuckets | undefined; signal: AbortSignal },
): Promise<Received> {
  const { buckets, signal } = options;
  // The key is taken as it is: S3 tools do not percent-encode it.
  const [, name, key] = /^s3:\/\/([^/]+)\/(.+)$/is.exec(url) ?? [];
  if (name === undefined || key === undefined) {
    throw forbidden(url, 'is not of the form s3://bucket/key');
  }
  if (buckets === undefined) {
    throw new JobError('BUCKET_NOT_CONFIGURED', 'This worker was started without a bucket');
  }
  const bucket = buckets.require('Reading s3:// audio');
  if (name !== bucket.name) {
    throw forbidden(url, `is not in the worker's bucket, which alone is read (${bucket.name})`);
  }
  if (bucket.prefix !== '' && !key.startsWith(`${bucket.prefix}/`)) {
    throw forbidden(url, `is not below ${bucket.prefix}/, which alone is read`);
  }
  if (!isSafeKey(key)) {
    throw forbidden(url, 'has a key that is too long, or has an empty, "." or ".." part');
  }
  return transfer(shown(url), limits, signal, (until) => bucket.get(key, { signal: until }));
}

function forbidden(url: string, why: string): DownloadError {
  return new DownloadError(
    'URL_FORBIDDEN',
    `${JSON.stringify(shown(url))} ${why}. Give an https URL (a presigned one, say) instead`,
  );
}

function shown(url: string): string {
  return url.slice(0, 200);
}
