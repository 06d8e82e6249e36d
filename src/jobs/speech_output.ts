/** What comes of a speech job: a file of sound in the output or in the bucket, or chunks of one. */
import type { Speech, SpeechBlock, SpeechSummary } from '../../lib/index.js';
import {
  audioFormats,
  encodeAudio,
  openEncoder,
  type AudioFormat,
} from '../../lib/audio/encode.js';
import type { Job } from '../runpod/job.js';
import type { Bucket } from '../storage/bucket.js';
import { storeOutput, type JobBuckets } from './job_bucket.js';
import type { SpeechInput, SpeechOutput } from './speech_schema.js';

/** Characters of base64 that "auto" leaves in the output; RunPod takes some 20 MB in all. */
const MOST_INLINE = 10_000_000;
/** Bytes of sound in a chunk of a stream, of which RunPod takes 1 MB, as base64 in JSON. */
const CHUNK_BYTES = 600_000;

/** Where the file goes; undefined: into the output, whatever its size. */
export interface SoundTarget {
  bucket: Bucket;
  jobId: string;
  /** Only where it is too large for the output. */
  onlyLarge: boolean;
}

/**
 * Asked before anything is computed, so that a job that cannot be delivered costs nothing.
 * @throws JobError BUCKET_NOT_CONFIGURED, CREDENTIALS_FORBIDDEN, and what `JobBuckets.forJob` throws
 */
export async function soundTarget(
  input: Pick<SpeechInput, 'output'>,
  job: Job,
  buckets: JobBuckets | undefined,
): Promise<SoundTarget | undefined> {
  if (input.output === 'base64' || buckets === undefined) return undefined;
  const own = await buckets.forJob(job);
  const bucket = input.output === 'url' ? (own ?? buckets.require('output "url"')) : own;
  return bucket && { bucket, jobId: job.id, onlyLarge: input.output === 'auto' };
}

interface Delivery {
  input: Pick<SpeechInput, 'format' | 'sample_rate'>;
  model: string;
  signal: AbortSignal;
}

/** The output of a job that is not a stream. @throws what encoding and storing throw */
export async function deliverSound(
  speech: Speech,
  { input, model, target, signal }: Delivery & { target: SoundTarget | undefined },
): Promise<SpeechOutput> {
  const { format, sample_rate: sampleRate } = input;
  const bytes = await encodeAudio(speech.samples, { format, sampleRate, signal });
  const rest = summaryOf(speech, input, model);
  const isLarge = (bytes.length / 3) * 4 > MOST_INLINE;
  if (target === undefined || (target.onlyLarge && !isLarge)) {
    return { audio_base64: Buffer.from(bytes).toString('base64'), ...rest };
  }
  const stored = await storeOutput(target.bucket, {
    ...{
      jobId: target.jobId,
      name: `speech.${audioFormats[format].extension}`,
      body: bytes,
      signal,
    },
    contentType: audioFormats[format].mime,
  });
  return { audio_url: stored.url, expires_at: stored.expiresAt.toISOString(), ...rest };
}

/** A chunk of a stream; the last one also has the rest of the output. */
export type SoundChunk = { audio_base64: string; format: AudioFormat } & Partial<SpeechOutput>;

/** The chunks of a job's stream, whose bytes put together are the file. */
export async function* soundChunks(
  blocks: AsyncGenerator<SpeechBlock, SpeechSummary, undefined>,
  { input, model, signal }: Delivery,
): AsyncGenerator<SoundChunk, SpeechSummary, undefined> {
  const { format, sample_rate: sampleRate } = input;
  const encoder = openEncoder({ format, sampleRate, signal });
  let ended = false;
  try {
    for (;;) {
      const step = await blocks.next();
      const bytes =
        step.done === true ? await encoder.finish() : await encoder.write(step.value.samples);
      if (step.done !== true) {
        for (const piece of pieces(bytes)) yield { audio_base64: piece, format };
        continue;
      }
      ended = true;
      const [last = '', ...before] = pieces(bytes).reverse();
      for (const piece of before.reverse()) yield { audio_base64: piece, format };
      yield { audio_base64: last, ...summaryOf(step.value, input, model) };
      return step.value;
    }
  } finally {
    if (!ended) {
      await encoder.close();
      await blocks.return(undefined as never);
    }
  }
}

function summaryOf(
  { seed, duration, warnings }: SpeechSummary,
  { format, sample_rate }: Delivery['input'],
  model: string,
): Omit<SpeechOutput, 'audio_base64' | 'audio_url' | 'expires_at'> {
  return { format, sample_rate, duration, seed, model, warnings };
}

/** Base64 of bytes, in chunks that can be put together: multiples of three bytes. */
function pieces(bytes: Uint8Array): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    found.push(Buffer.from(bytes.subarray(at, at + CHUNK_BYTES)).toString('base64'));
  }
  return found;
}
