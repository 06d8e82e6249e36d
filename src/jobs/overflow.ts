/** Outputs that are too large for RunPod go to the bucket, and the job's result is a link. */
import { JobError } from '../../lib/errors.js';
import type { Overflow } from '../runpod/job.js';
import { storeOutput, type JobBuckets } from './job_bucket.js';

export interface BucketOverflowOptions {
  buckets: JobBuckets;
  /** As the worker's: only for the message. Default 20 MiB. */
  maxResultBytes?: number;
  /** How long the link lasts. Default and at most seven days. */
  expiresSeconds?: number;
}

/** Stands in a job's result for an output that is too large. */
export interface OverflowOutput {
  /** A link to the output as JSON. */
  result_url: string;
  /** Of the JSON. */
  bytes: number;
  /** When the link ends, as in "2026-01-31T12:00:00.000Z". */
  expires_at: string;
}

/**
 * The returned function rejects with RESULT_TOO_LARGE where there is no bucket; with what
 * `JobBuckets.forJob` and `storeOutput` throw.
 */
export function bucketOverflow(options: BucketOverflowOptions): Overflow {
  const { buckets, maxResultBytes = 20 * 1024 * 1024, expiresSeconds } = options;
  return async (job, outputJson, signal): Promise<OverflowOutput> => {
    const bucket = await buckets.forJob(job);
    if (bucket === undefined) {
      const bytes = Buffer.byteLength(outputJson);
      const why =
        bytes > maxResultBytes
          ? `is over RunPod's limit of ${maxResultBytes} bytes`
          : 'was refused by RunPod';
      throw new JobError(
        'RESULT_TOO_LARGE',
        `The output of ${bytes} bytes ${why}, and the worker has no bucket to keep it in: ${buckets.reason}. Set that in the endpoint's environment, or ask for less in one job`,
      );
    }
    const stored = await storeOutput(bucket, {
      jobId: job.id,
      name: 'output.json',
      body: outputJson,
      contentType: 'application/json',
      signal,
      ...(expiresSeconds === undefined ? {} : { expiresSeconds }),
    });
    return {
      result_url: stored.url,
      bytes: stored.bytes,
      expires_at: stored.expiresAt.toISOString(),
    };
  };
}
