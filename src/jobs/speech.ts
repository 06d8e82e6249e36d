/** Runs a speech job: text and a voice in, a file of sound out, whole or chunk by chunk. */
import {
  findEdits,
  type AudioSource,
  type EditOptions,
  type SpeakOptions,
  type Speech,
  type SpeechBlock,
  type SpeechEdit,
  type SpeechSummary,
} from '../../lib/index.js';
import { spectrogramPng } from '../../lib/audio/spectrogram.js';
import { checkEdits } from '../../lib/f5/speech_edit.js';
import { DEFAULT_WHISPER } from '../models/catalogue.js';
import type { Handler, JobContext } from '../runpod/job.js';
import { whisperTranscriber } from '../voices/hearing.js';
import { PreparedVoices } from '../voices/prepared_voices.js';
import { settingsOptions, VoiceLibrary } from '../voices/voice_library.js';
import type { AudioInputOptions } from './audio_input.js';
import { jobModel } from './job_model.js';
import { deliverSound, soundChunks, soundTarget } from './speech_output.js';
import {
  parseSpeech,
  refuseOtherFamilies,
  type JobEdit,
  type SpeechInput,
  type SpeechOutput,
} from './speech_schema.js';
import { fetchReference, progressReporter, speakOptionsOf } from './speech_voices.js';
import type { WhisperPool } from './transcription.js';

/** A loaded model of F5-TTS, as far as a job needs it. */
export interface Speaker {
  readonly info: { readonly geometry: { readonly mels: number } };
  mel(samples: Float32Array): Promise<Float32Array>;
  speak(text: string, options: SpeakOptions): Promise<Speech>;
  stream(
    text: string,
    options: SpeakOptions,
  ): AsyncGenerator<SpeechBlock, SpeechSummary, undefined>;
  edit(audio: AudioSource, options: EditOptions): Promise<Speech>;
}

/** Where loaded models come from. */
export interface SpeechPool {
  acquireSpeech(
    name: string,
    options?: { signal?: AbortSignal },
  ): Promise<{ readonly speech: Speaker; release(): void }>;
}

export interface SpeechHandlerOptions extends AudioInputOptions {
  pool: SpeechPool & WhisperPool;
  /** Models beside the catalogue's: what a job calls them, and what the pool is asked for. */
  speechModels?: ReadonlyMap<string, string>;
  /** Voices that jobs may name. Default: none. */
  voices?: VoiceLibrary;
  /** Voices that were made ready, kept from job to job. */
  preparedVoices?: PreparedVoices;
  /** The Whisper that hears what is said in a reference without text. Default "base". */
  hearingModel?: string;
}

export function speechHandler(options: SpeechHandlerOptions): Handler {
  const prepared = options.preparedVoices ?? new PreparedVoices();
  const library = options.voices ?? new VoiceLibrary(undefined);
  return async (job, context): Promise<unknown> => {
    const input = parseSpeech(job.input);
    const model = input.model ?? options.speechModels?.keys().next().value ?? 'f5-tts';
    const source = jobModel(model, 'f5-tts', options.speechModels);
    refuseOtherFamilies(input, 'F5-TTS', model);
    const target = await soundTarget(input, job, options.buckets);
    const surroundings = { options, library, prepared, context };
    const lease = () => options.pool.acquireSpeech(source, { signal: context.signal });
    if (input.stream) {
      const speakOptions = await speakOptionsOf(input, surroundings);
      return streamed({ input, model, speakOptions, context, lease });
    }
    const making: Making = { input, context, lease };
    const { speech, ...more } =
      input.edits === null
        ? await spoken(making, await speakOptionsOf(input, surroundings))
        : await edited(making, options, input.edits);
    const delivery = { input, model, target, signal: context.signal };
    return { ...(await deliverSound(speech, delivery)), ...more };
  };
}

interface Making {
  input: SpeechInput;
  context: JobContext;
  lease: () => ReturnType<SpeechPool['acquireSpeech']>;
}

/** What was made, and what the output has beside its sound. */
type Made = { speech: Speech } & Pick<SpeechOutput, 'edits' | 'spectrogram_base64'>;

function spoken(making: Making, options: SpeakOptions): Promise<Made> {
  return made(making, (speaker) => speaker.speak(making.input.text, options));
}

/** The reference with parts of it spoken anew. */
async function edited(
  making: Making,
  options: SpeechHandlerOptions,
  asked: NonNullable<SpeechInput['edits']>,
): Promise<Made> {
  const { input, context } = making;
  const { signal } = context;
  const given = asked === 'auto' ? undefined : checkEdits(asked.map(asLibrary));
  const reference = await fetchReference(input, options, signal);
  const { text, reference_text: original } = input;
  try {
    // Before the model is leased: there may be no room for Whisper beside it.
    const transcriber = whisperTranscriber(options.pool, options.hearingModel ?? DEFAULT_WHISPER);
    const heard = { text, transcriber, signal, ...(original && { originalText: original }) };
    const edits = given ?? checkEdits(await findEdits(reference.source, heard));
    const result = await made(making, (speaker) =>
      speaker.edit(reference.source, {
        ...settingsOptions(input),
        ...{ text, edits, signal, normalizeText: input.normalize_text },
        ...(input.target_rms === null ? {} : { targetRms: input.target_rms }),
        onProgress: progressReporter(context),
      }),
    );
    return { ...result, edits };
  } finally {
    await reference.dispose();
  }
}

const asLibrary = ({ start, end, duration }: JobEdit): SpeechEdit => ({
  ...{ start, end },
  ...(duration === null ? {} : { duration }),
});

async function made(
  { input, context, lease }: Making,
  make: (speaker: Speaker) => Promise<Speech>,
): Promise<Made> {
  const started = performance.now();
  const held = await lease();
  try {
    const speech = await make(held.speech);
    const png = input.spectrogram ? await draw(held.speech, speech.samples) : undefined;
    logDone(context, speech, started);
    return {
      speech,
      ...(png && { spectrogram_base64: Buffer.from(png).toString('base64') }),
    };
  } finally {
    held.release();
  }
}

async function draw(speaker: Speaker, samples: Float32Array): Promise<Uint8Array> {
  return spectrogramPng(await speaker.mel(samples), speaker.info.geometry.mels);
}

interface Streamed extends Making {
  model: string;
  speakOptions: SpeakOptions;
}

async function* streamed({ input, model, speakOptions, context, lease }: Streamed) {
  const started = performance.now();
  const held = await lease();
  try {
    const blocks = held.speech.stream(input.text, speakOptions);
    const summary = yield* soundChunks(blocks, { input, model, signal: context.signal });
    logDone(context, summary, started);
  } finally {
    held.release();
  }
}

function logDone({ log }: JobContext, speech: SpeechSummary, started: number): void {
  const seconds = (performance.now() - started) / 1000;
  log.info(
    `Spoke ${speech.duration.toFixed(1)} s of sound in ${seconds.toFixed(2)} s, ${speech.chunks.length} chunks.`,
  );
}
