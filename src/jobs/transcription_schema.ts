/**
 * The input of a transcription job: that of RunPod's own Whisper worker (worker-faster_whisper), so
 * that its clients move over unchanged, and `seed`.
 *
 * Decoding is greedy at temperature 0, with `best_of` samples above. Beam search is not served; its
 * options are accepted where a client writes down the official defaults (`beam_size` 5,
 * `patience` 1, `length_penalty` 0) or asks for what is done anyway (`beam_size` 1), and any other
 * value is refused instead of being ignored.
 */
import { z } from 'zod';
import { JobError } from '../../lib/errors.js';

/** RunPod's worker calls subtitles' formats so, and its own tests write "plain text". */
const FORMATS = ['plain_text', 'formatted_text', 'srt', 'vtt'] as const;
export type TextFormat = (typeof FORMATS)[number];

const format = z
  .preprocess((value) => (value === 'plain text' ? 'plain_text' : value), z.enum(FORMATS))
  .default('plain_text');

/** An option of the official worker that is not served: only values that change nothing. */
const unserved = <T extends number | boolean>(
  name: string,
  schema: z.ZodType<T>,
  harmless: readonly (T | null)[],
  fallback: T,
) =>
  schema
    .nullable()
    .default(fallback)
    .refine((value) => harmless.includes(value), {
      error: `${name} is not served by this worker: leave it out or send ${harmless.map(String).join(' or ')}`,
    });

/** Catalogue names only: a job must not name a folder of the machine. */
const modelName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, { error: 'model must be the name of a Whisper model' });

const threshold = (fallback: number) => z.number().nullable().default(fallback);

export const transcriptionSchema = z.strictObject({
  /** URL of an audio file of any format. Exactly one of `audio` and `audio_base64`. */
  audio: z.string().max(8192).nullable().default(null),
  /** The bytes of such a file in base64. */
  audio_base64: z.string().nullable().default(null),
  /** "base", "tiny.en", "turbo", ... */
  model: modelName.nullable().default(null),
  /** Form of the result's `transcription`. */
  transcription: format,
  /** Translate into English too, into the result's `translation`. */
  translate: z.boolean().default(false),
  /** Form of the result's `translation`. */
  translation: format,
  /** Code or English name; null detects it. */
  language: z.string().max(50).nullable().default(null),
  temperature: z.number().min(0).max(1).default(0),
  /** Samples to choose from at temperatures above 0. */
  best_of: z.number().int().min(1).max(32).nullable().default(5),
  beam_size: unserved('beam_size', z.number().int(), [5, 1, null], 5),
  patience: unserved('patience', z.number(), [1, null], 1),
  length_penalty: unserved('length_penalty', z.number(), [0, null], 0),
  /** Token ids, comma-separated; -1 stands for the non-speech set. */
  suppress_tokens: z
    .string()
    .max(10_000)
    .regex(/^\s*(-?\d{1,7}\s*(,\s*-?\d{1,7}\s*)*)?$/, {
      error: 'suppress_tokens must be token ids separated by commas, for example "-1"',
    })
    .nullable()
    .default('-1'),
  /** As long as the library takes it; the model reads its last 223 tokens. */
  initial_prompt: z.string().max(5000).nullable().default(null),
  condition_on_previous_text: z.boolean().default(true),
  /** Step from `temperature` to 1 when decoding fails; null: no fallback. */
  temperature_increment_on_fallback: z.number().min(0).max(1).nullable().default(0.2),
  compression_ratio_threshold: threshold(2.4),
  logprob_threshold: threshold(-1),
  no_speech_threshold: threshold(0.6),
  enable_vad: unserved('enable_vad', z.boolean(), [false, null], false),
  word_timestamps: unserved('word_timestamps', z.boolean(), [false, null], false),
  /** Seed of the sampling at temperatures above 0. */
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
});

export type TranscriptionInput = z.output<typeof transcriptionSchema>;

/** @throws JobError JOB_INVALID that names every wrong or unknown option. */
export function parseTranscription(input: unknown): TranscriptionInput {
  const parsed = transcriptionSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return `unknown option ${issue.keys.map((key) => JSON.stringify(key.slice(0, 100))).join(', ')}`;
    }
    const path = issue.path.map(String).join('.');
    return path === '' || issue.message.startsWith(path)
      ? issue.message
      : `${path}: ${issue.message}`;
  });
  throw new JobError('JOB_INVALID', `The job's input is wrong: ${problems.join('; ')}`);
}
