/**
 * The input of a speech job, for F5-TTS and Higgs Audio V2, and the output that its engines are to
 * give. The descriptions are the documentation: docs/api.md and the JSON Schema are made from them.
 *
 * Options of one family alone are null unless they are sent, so that one for the other family is
 * refused instead of being ignored; what null then means is in `x-model-default`.
 */
import { z } from 'zod';
import { JobError } from '../../lib/errors.js';
import { parseInput } from './parse_input.js';

type Family = 'F5-TTS' | 'Higgs Audio V2';

/** Names of models whose family is known without looking at their files. */
const FAMILIES: readonly [RegExp, Family][] = [
  [/^(f5|e2)-tts(-|$)/i, 'F5-TTS'],
  [/^higgs-audio-v2(-|$)/i, 'Higgs Audio V2'],
];

const familyOf = (model: string | null): Family | undefined =>
  FAMILIES.find(([name]) => name.test(model ?? ''))?.[1];

/** An option of one family; null stands for `fallback`. */
const of = <T>(family: Family, schema: z.ZodType<T>, fallback: T | null, description: string) =>
  schema
    .nullable()
    .default(null)
    .meta({ description, 'x-family': family, 'x-model-default': fallback });

const f5 = <T>(schema: z.ZodType<T>, fallback: T | null, description: string) =>
  of('F5-TTS', schema, fallback, description);
const higgs = <T>(schema: z.ZodType<T>, fallback: T, description: string) =>
  of('Higgs Audio V2', schema, fallback, description);

/** A name, never a path: a job must not name a folder of the machine. */
const name = (what: string) =>
  z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, { error: `${what} must be a name, not a path or URL` });

const SOMETHING = 'text must contain something to say: a letter or a digit';

/** Seconds of what a model holds, with a little to spare. */
const MOST_EDITED = 90;

const second = z.number().min(0).max(MOST_EDITED);

const edit = z.strictObject({
  start: second.describe('Where the part begins, in seconds of the recording'),
  end: second.describe('Where it ends. At its start, something is put in there'),
  duration: second
    .nullable()
    .default(null)
    .describe('Seconds that it is to take; 0 leaves it out; null: as long as it was'),
});

export type JobEdit = z.output<typeof edit>;

const fields = {
  text: z
    .string()
    .min(1, { error: SOMETHING })
    .max(50_000)
    // No pattern, which validators without Unicode's classes would read as something else.
    .refine((text) => /[\p{L}\p{N}]/u.test(text), { error: SOMETHING })
    .describe('What to say: with at least one letter or digit. Long texts are spoken in chunks'),
  model: name('model')
    .nullable()
    .default(null)
    .describe("f5-tts, e2-tts, higgs-audio-v2, ...; null: the worker's first speech model"),
  voice: name('voice')
    .nullable()
    .default(null)
    .describe('Name of a voice that the worker has, in the place of a reference'),
  reference_audio: z
    .string()
    .max(8192)
    .nullable()
    .default(null)
    .describe(
      'The voice to speak with: a recording of a few seconds, as an http or https URL or s3://bucket/key',
    ),
  reference_audio_base64: z
    .string()
    .nullable()
    .default(null)
    .describe('The bytes of such a recording in standard base64'),
  reference_text: z
    .string()
    .max(2000)
    .nullable()
    .default(null)
    .describe('What is said in the reference; null: it is transcribed'),
  seed: z
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .nullable()
    .default(null)
    .describe('The same seed gives the same sound; null: drawn at random and told in the output'),
  format: z
    .enum(['wav', 'mp3', 'opus', 'flac', 'pcm'])
    .default('wav')
    .describe('Of the sound; opus is in an Ogg file, pcm is 16 bit little-endian without a header'),
  sample_rate: z
    .literal([8000, 16_000, 22_050, 24_000, 44_100, 48_000])
    .default(24_000)
    .describe('Hertz. The models compute at 24000; opus is always decoded at 48000'),
  stream: z
    .boolean()
    .default(false)
    .describe('Send the sound chunk by chunk as it is made; put together the chunks are the file'),
  output: z
    .enum(['base64', 'url', 'auto'])
    .default('auto')
    .describe(
      "In the output itself, or in the worker's bucket; auto: in the bucket where it is too large for the output",
    ),
  normalize_text: z
    .boolean()
    .default(true)
    .describe('Write numbers, dates, units and abbreviations out in words first'),

  spectrogram: z
    .boolean()
    .default(false)
    .describe('Draw the sound as a PNG, too: its mel spectrogram. Not of a stream'),

  edits: f5(
    z.union([z.array(edit).min(1).max(100), z.enum(['auto'])]),
    null,
    'Speak only these parts of the reference anew, in order and apart, and give back all of it: text is then what the whole of it is to say. "auto": the parts in which text differs from what is heard in it',
  ),
  steps: f5(z.number().int().min(1).max(128), 32, 'Steps of the flow; 16 and 7 are faster'),
  cfg_strength: f5(z.number().min(0).max(10), 2, 'Classifier-free guidance: how closely to follow'),
  sway_sampling_coef: f5(
    z.number().min(-1).max(1),
    -1,
    'Shape of the time schedule: below 0 more steps at its beginning; 0: even',
  ),
  speed: f5(
    z.number().min(0.3).max(3),
    1,
    'Rate of speech; 2 is twice as fast. What has less than 10 bytes ("Yes.") is spoken at 0.3 in any case',
  ),
  duration: f5(
    z.number().min(0.5).max(30),
    null,
    'Seconds that the speech is to take, the reference not counted; null: estimated from the text',
  ),
  cross_fade: f5(z.number().min(0).max(1), 0.15, 'Seconds over which chunks are joined'),
  remove_silence: f5(z.boolean(), false, 'Cut silence of more than a second'),
  target_rms: f5(
    z.number().min(0.001).max(0.5),
    0.1,
    'Target loudness: root mean square, 1 being full scale. A quieter reference is raised to it for computing',
  ),

  temperature: higgs(z.number().min(0).max(2), 1, 'Of the sampling; 0 takes the most probable'),
  top_p: higgs(z.number().gt(0).max(1), 0.95, 'Sample from the tokens that make up this much'),
  top_k: higgs(z.number().int().min(0).max(1024), 50, 'Sample from this many tokens; 0: from all'),
  scene_prompt: higgs(
    z.string().max(2000),
    'Audio is recorded from a quiet room.',
    'Where it is said and by whom, in words',
  ),
  max_new_tokens: higgs(
    z.number().int().min(1).max(8192),
    2048,
    'Length at most: 25 tokens are a second',
  ),
  ras_win_len: higgs(
    z.number().int().min(0).max(100),
    7,
    'Window in which repetition is looked for (repetition-aware sampling); 0: off',
  ),
  ras_win_max_num_repeat: higgs(
    z.number().int().min(1).max(100),
    2,
    'Repetitions in the window after which a token is drawn anew',
  ),
};

/** Options of a family other than this one that an input has, with that family. */
function foreignOptions(input: object, family: Family): [key: string, family: string][] {
  return [...FAMILY_OF_OPTION].filter(
    ([key, needed]) => needed !== family && (input as Record<string, unknown>)[key] !== null,
  );
}

/**
 * For a model whose family its name did not tell.
 * @throws JobError JOB_INVALID
 */
export function refuseOtherFamilies(input: SpeechInput, family: Family, model: string): void {
  const [foreign] = foreignOptions(input, family);
  if (foreign === undefined) return;
  const [key, needed] = foreign;
  throw new JobError(
    'JOB_INVALID',
    `The job's input is wrong: ${key}: is an option of ${needed}, which ${model} is not`,
  );
}

/** Keys of the options that one family alone has. */
const FAMILY_OF_OPTION = new Map<string, string>(
  Object.entries(fields).flatMap(([key, schema]): [string, string][] => {
    const family = schema.meta()?.['x-family'];
    return typeof family === 'string' ? [[key, family]] : [];
  }),
);

/** Options of speech that is made from nothing but a voice. */
const NOT_OF_EDITS = [
  ...(['voice', 'stream', 'speed', 'duration', 'cross_fade', 'remove_silence'] as const),
] as const;

export const speechSchema = z
  .strictObject(fields)
  .superRefine((input, context) => {
    const refuse = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    const reference = input.reference_audio !== null || input.reference_audio_base64 !== null;
    if (input.reference_audio !== null && input.reference_audio_base64 !== null) {
      refuse('reference_audio', 'give it or reference_audio_base64, not both');
    }
    if (input.voice !== null && reference) {
      refuse('voice', 'give it or a reference, not both');
    }
    if (input.reference_text !== null && !reference) {
      refuse('reference_text', 'belongs to a reference_audio or reference_audio_base64: send one');
    }
    const family = familyOf(input.model);
    const cloning = reference || input.voice !== null;
    if (family === 'F5-TTS' && !cloning) {
      refuse('voice', `${input.model ?? ''} speaks with a given voice: send it or a reference`);
    }
    if (input.edits !== null && !reference) {
      refuse('edits', 'are of a recording: send reference_audio or reference_audio_base64');
    }
    for (const key of NOT_OF_EDITS) {
      if (input.edits !== null && input[key] !== null && input[key] !== false) {
        refuse(key, 'does not go with edits, which keep the voice and the pace of the recording');
      }
    }
    if (input.stream && input.output === 'url') {
      refuse('output', 'is url, and stream sends the sound itself: choose one');
    }
    if (input.stream && input.spectrogram) {
      refuse('spectrogram', 'is of the whole sound, which a stream never has: leave one out');
    }
    if (family === undefined) return;
    for (const [key, needed] of foreignOptions(input, family)) {
      refuse(key, `is an option of ${needed}, which ${input.model ?? ''} is not`);
    }
  })
  .describe('Input of a speech job');

export type SpeechInput = z.output<typeof speechSchema>;

export const speechOutputSchema = z
  .object({
    audio_base64: z.string().optional().describe('The file in base64; or audio_url'),
    audio_url: z.string().optional().describe('A presigned link to the file in the bucket'),
    spectrogram_base64: z.string().optional().describe('A PNG in base64, where it was asked for'),
    expires_at: z.string().optional().describe('When the link ends: ISO 8601, UTC'),
    format: fields.format.unwrap().describe('As it was asked for'),
    sample_rate: z.number().int().describe('Hertz'),
    duration: z.number().min(0).describe('Seconds'),
    seed: z.number().int().min(0).describe('Given or drawn: with it the same sound comes again'),
    model: z.string().describe('Name of the model'),
    edits: z
      .array(
        z.object({
          start: z.number().describe('Seconds of the recording'),
          end: z.number().describe('Seconds of the recording'),
          duration: z.number().describe('Seconds that it takes now'),
        }),
      )
      .optional()
      .describe('The parts that were spoken anew, where edits were asked for'),
    warnings: z
      .array(z.string())
      .describe('What may sound badly, and why: a reference that was cut, say. Mostly none'),
  })
  .describe('Output of a speech job');

export type SpeechOutput = z.output<typeof speechOutputSchema>;

/** @throws JobError JOB_INVALID that names every wrong or unknown option. */
export function parseSpeech(input: unknown): SpeechInput {
  return parseInput(speechSchema, input);
}
