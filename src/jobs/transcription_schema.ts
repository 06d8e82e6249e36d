/**
 * The input of a transcription job: that of RunPod's own Whisper worker (worker-faster_whisper), so
 * that its clients move over unchanged, and some more; and the output, with the keys of that worker.
 * The descriptions are the documentation: docs/api.md and the JSON Schema are made from them.
 */
import { z } from 'zod';
import { parseInput } from './parse_input.js';

const FORMATS = ['plain_text', 'formatted_text', 'srt', 'vtt'] as const;
export type TextFormat = (typeof FORMATS)[number];

/** RunPod's worker calls subtitles' formats so, and its own tests write "plain text". */
const format = z
  .enum([...FORMATS, 'plain text'])
  .transform((value): TextFormat => (value === 'plain text' ? 'plain_text' : value))
  .prefault('plain_text');

/** Catalogue names only: a job must not name a folder of the machine. */
const modelName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, { error: 'model must be the name of a Whisper model' });

const flag = z
  .boolean()
  .nullable()
  .default(false)
  .transform((value) => value ?? false);

const threshold = (fallback: number) => z.number().nullable().default(fallback);

const milliseconds = z.number().min(0).max(86_400_000).nullable().optional();
const probability = z.number().min(0.01).max(1).nullable().optional();

/** The names of faster-whisper's VadOptions (faster_whisper/vad.py). */
const vadParameters = z.strictObject({
  threshold: probability.describe('Probability from which on it is speech; null: 0.5'),
  neg_threshold: probability.describe(
    'Probability below which speech may end; null: 0.15 less than threshold',
  ),
  min_speech_duration_ms: milliseconds.describe('Shorter speech is left out; null: 0'),
  max_speech_duration_s: z
    .number()
    .min(1)
    .max(86_400)
    .nullable()
    .optional()
    .describe('Longer speech is cut; null: 30 in batches, else no limit'),
  min_silence_duration_ms: milliseconds.describe(
    'Silence that ends speech; null: 160 in batches, else 2000',
  ),
  speech_pad_ms: milliseconds.describe('Added to speech at both ends; null: 400'),
});

export const transcriptionSchema = z
  .strictObject({
    audio: z
      .string()
      .max(8192)
      .nullable()
      .default(null)
      .describe(
        'Where the audio is: an http or https URL, or s3://bucket/key in the bucket of the worker. Exactly one of audio and audio_base64',
      ),
    audio_base64: z
      .string()
      .nullable()
      .default(null)
      .describe(
        'The bytes of an audio file in standard base64, padded, without a "data:" prefix; 64 MiB when decoded',
      ),
    model: modelName
      .nullable()
      .default(null)
      .describe(
        'Name of a Whisper model: "base", "tiny.en", "large-v3", "turbo", ...; null: the first that the worker was started with',
      ),
    transcription: format.describe(
      "Form of the output's transcription: segments joined by spaces, one on a line, or subtitles",
    ),
    translate: z
      .boolean()
      .default(false)
      .describe('Translate into English too; needs a multilingual model'),
    translation: format.describe("Form of the output's translation"),
    language: z
      .string()
      .max(50)
      .nullable()
      .default(null)
      .describe('Code or English name of what is spoken ("de", "german"); null: detected'),
    temperature: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('First temperature; 0 takes the most probable token'),
    best_of: z
      .number()
      .int()
      .min(1)
      .max(32)
      .nullable()
      .default(5)
      .describe('Samples to choose from at temperatures above 0'),
    beam_size: z
      .number()
      .int()
      .min(1)
      .max(32)
      .nullable()
      .default(5)
      .describe('Beams of the search at temperature 0; 1 or null: greedy, which is faster'),
    patience: z
      .number()
      .min(0.01)
      .max(100)
      .nullable()
      .default(1)
      .describe('The search ends after beam_size * patience finished texts'),
    length_penalty: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .default(0)
      .describe(
        'Exponent of the length by which texts of the search are ranked; higher ones favour long texts. 0 or null: by the mean log-probability of a token',
      ),
    suppress_tokens: z
      .string()
      .max(10_000)
      .regex(/^\s*(-?\d{1,7}\s*(,\s*-?\d{1,7}\s*)*)?$/, {
        error: 'suppress_tokens must be token ids separated by commas, for example "-1"',
      })
      .nullable()
      .default('-1')
      .describe(
        'Token ids that are never written, separated by commas; -1 stands for the non-speech set, "" for none',
      ),
    initial_prompt: z
      .string()
      // As long as the library takes it; the model reads its last 223 tokens.
      .max(5000)
      .nullable()
      .default(null)
      .describe('Text to prompt the first window with: names, spelling, style'),
    condition_on_previous_text: z
      .boolean()
      .default(true)
      .describe('Prompt each window of 30 s with the text before it'),
    temperature_increment_on_fallback: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .default(0.2)
      .describe('Step from temperature up to 1 where decoding fails; null or 0: no fallback'),
    compression_ratio_threshold: threshold(2.4).describe(
      'Above it (text length over its zlib length) decoding has failed; null: off',
    ),
    logprob_threshold: threshold(-1).describe(
      'Below this mean log-probability decoding has failed; null: off',
    ),
    no_speech_threshold: threshold(0.6).describe(
      'Above it a window of low log-probability counts as silence; null: off',
    ),
    enable_vad: flag.describe(
      'Find speech, and transcribe nothing else. With a batch_size above 1 that is done in any case',
    ),
    vad_parameters: vadParameters
      .nullable()
      .default(null)
      .describe('How speech is found. Not in the official worker'),
    batch_size: z
      .number()
      .int()
      .min(1)
      .max(64)
      .nullable()
      .default(1)
      .transform((value) => value ?? 1)
      .describe(
        'Above 1 the recording is cut into clips of 30 s at most where nobody speaks, and so many are decoded at once, each without the text before it: faster. Not in the official worker',
      ),
    multilingual: flag.describe(
      'Hear the language of each window anew, not only of the first. Not in the official worker',
    ),
    word_timestamps: z
      .boolean()
      .nullable()
      .default(false)
      .describe('Give the time of every word, too'),
    seed: z
      .number()
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER)
      .default(0)
      .describe(
        'Seed of the sampling at temperatures above 0: the same seed gives the same text. Not in the official worker',
      ),
  })
  .superRefine(({ language, multilingual, vad_parameters, enable_vad, batch_size }, context) => {
    const refuse = (name: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [name], message: `${name} ${message}` });
    if (multilingual && language) {
      refuse(
        'multilingual',
        'hears the language of each window, and language names one for all: send one of them',
      );
    }
    if (vad_parameters && !enable_vad && batch_size === 1) {
      refuse('vad_parameters', 'say nothing without enable_vad or a batch_size above 1');
    }
  })
  .describe('Input of a transcription job');

export type TranscriptionInput = z.output<typeof transcriptionSchema>;

const seconds = z.number().min(0);

const segmentSchema = z.object({
  id: z.number().int().min(0).describe('Number of the segment, from 0'),
  seek: z.number().int().min(0).describe('Frame of 10 ms at which its window begins'),
  start: seconds.describe('Seconds'),
  end: seconds.describe('Seconds'),
  text: z.string().describe('As the model writes it: usually with a space before it'),
  tokens: z.array(z.number().int().min(0)).describe("The text's tokens and timestamps"),
  temperature: z.number().min(0).max(1).describe('At which it was decoded in the end'),
  avg_logprob: z.number().describe("Mean log-probability of its window's tokens"),
  compression_ratio: z.number().min(0).describe("Of its window's text"),
  no_speech_prob: z.number().min(0).max(1).describe('Probability that its window has no speech'),
  language: z
    .string()
    .optional()
    .describe("Code of its window's language; present where multilingual was asked for"),
});
export type OutputSegment = z.output<typeof segmentSchema>;

const wordSchema = z.object({
  word: z.string().describe('With the blank before it and its punctuation'),
  start: seconds.describe('Seconds'),
  end: seconds.describe('Seconds'),
});

export type OutputWord = z.output<typeof wordSchema>;

export const transcriptionOutputSchema = z
  .object({
    segments: z.array(segmentSchema).describe('What was said, in order of time'),
    detected_language: z.string().describe('Code of the language, given or detected'),
    transcription: z.string().describe('The text, in the form that was asked for'),
    translation: z.string().nullable().describe('In English; null where none was asked for'),
    device: z.enum(['cpu', 'cuda']).describe('What it was computed on'),
    model: z.string().describe('Name of the model'),
    word_timestamps: z
      .array(wordSchema)
      .optional()
      .describe('Present where it was asked for: the words of all segments'),
  })
  .describe('Output of a transcription job');

/** Keys and types of worker-faster_whisper's output. */
export type TranscriptionOutput = z.output<typeof transcriptionOutputSchema>;

/** @throws JobError JOB_INVALID that names every wrong or unknown option. */
export function parseTranscription(input: unknown): TranscriptionInput {
  return parseInput(transcriptionSchema, input);
}
