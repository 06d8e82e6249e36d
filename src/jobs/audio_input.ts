/** The audio of a job: a URL or an object of the bucket that is fetched, or base64 that is decoded. */
import { JobError } from '../../lib/errors.js';
import { download } from './download.js';
import type { JobBuckets } from './job_bucket.js';
import { isS3Url, readS3Audio } from './s3_audio.js';
import { TRANSFER_LIMITS, type TransferLimits } from './transfer.js';

export interface AudioInput {
  /** A URL: http, https or s3. */
  audio?: string | null | undefined;
  audio_base64?: string | null | undefined;
}

export interface AudioInputOptions {
  /** Fetch from private addresses too: for development. */
  allowPrivateUrls: boolean;
  limits?: Partial<TransferLimits>;
  /** Whose environment's bucket s3:// is read from. */
  buckets?: JobBuckets;
}

export interface FetchedAudio {
  /** Encoded bytes, or the path of a temporary file. */
  source: Uint8Array | string;
  dispose(): Promise<void>;
}

/** What a job calls the two, for messages. */
export interface FieldNames {
  audio: string;
  base64: string;
}

const FIELDS: FieldNames = { audio: 'audio', base64: 'audio_base64' };

/** No payload that RunPod delivers holds more; this bounds what other callers can send. */
const MAX_BASE64_BYTES = 64 * 1024 * 1024;

/**
 * @throws JobError JOB_INVALID unless there is exactly one source, or where base64 is none; what
 * `download` and `readS3Audio` throw.
 */
export async function fetchAudio(
  input: AudioInput,
  options: AudioInputOptions,
  signal: AbortSignal,
  names: FieldNames = FIELDS,
): Promise<FetchedAudio> {
  const { audio, audio_base64: base64 } = input;
  if (audio && base64) {
    throw new JobError(
      'JOB_INVALID',
      `Must provide either ${names.audio} or ${names.base64}, not both`,
    );
  }
  if (audio) {
    const limits = { ...TRANSFER_LIMITS, ...options.limits };
    if (isS3Url(audio)) return readS3Audio(audio, limits, { buckets: options.buckets, signal });
    return download(audio, limits, { allowPrivate: options.allowPrivateUrls, signal });
  }
  if (base64) {
    return { source: decodeBase64(base64, names), dispose: () => Promise.resolve() };
  }
  throw new JobError(
    'JOB_INVALID',
    `Must provide either ${names.audio} (a URL) or ${names.base64} (the bytes of a file in base64)`,
  );
}

/**
 * Decodes standard base64; line breaks, as encoders put in, are allowed.
 * @throws JobError JOB_INVALID.
 */
export function decodeBase64(text: string, names: FieldNames = FIELDS): Uint8Array {
  if (text.length > (MAX_BASE64_BYTES / 3) * 4 * 1.05) {
    throw new JobError(
      'JOB_INVALID',
      `${names.base64} holds more than ${MAX_BASE64_BYTES} bytes. Give a URL in ${names.audio} instead`,
    );
  }
  const compact = text.replace(/[\r\n\t ]+/g, '');
  // Buffer.from skips over anything that is not base64, so this decides.
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(compact)) {
    throw new JobError(
      'JOB_INVALID',
      `${names.base64} is not base64. Send the bytes of an audio file in standard base64, padded and without a "data:" prefix`,
    );
  }
  return Buffer.from(compact, 'base64');
}
