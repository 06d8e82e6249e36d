/** Runs a speech job: text and a voice in, a file of sound out, whole or chunk by chunk. */
import type {
  NamedVoice,
  SpeakOptions,
  Speech,
  SpeechBlock,
  SpeechSummary,
} from '../../lib/index.js';
import { spectrogramPng } from '../../lib/audio/spectrogram.js';
import { JobError } from '../../lib/errors.js';
import { parseScript } from '../../lib/f5/script.js';
import type { Handler, JobContext } from '../runpod/job.js';
import { whisperTranscriber } from '../voices/hearing.js';
import { PreparedVoices } from '../voices/prepared_voices.js';
import { settingsOptions, VoiceLibrary, type VoiceSettings } from '../voices/voice_library.js';
import { fetchAudio, type AudioInputOptions } from './audio_input.js';
import { jobModel } from './job_model.js';
import { deliverSound, soundChunks, soundTarget } from './speech_output.js';
import { parseSpeech, refuseOtherFamilies, type SpeechInput } from './speech_schema.js';
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

/** Between two reports of a job's progress. */
const PROGRESS_MS = 1000;

export function speechHandler(options: SpeechHandlerOptions): Handler {
  const prepared = options.preparedVoices ?? new PreparedVoices();
  const library = options.voices ?? new VoiceLibrary(undefined);
  return async (job, context): Promise<unknown> => {
    const input = parseSpeech(job.input);
    const model = input.model ?? options.speechModels?.keys().next().value ?? 'f5-tts';
    const source = jobModel(model, 'f5-tts', options.speechModels);
    refuseOtherFamilies(input, 'F5-TTS', model);
    const target = await soundTarget(input, job, options.buckets);
    const speakOptions = await speakOptionsOf(input, { options, library, prepared, context });
    const lease = () => options.pool.acquireSpeech(source, { signal: context.signal });
    if (input.stream) return streamed({ input, model, speakOptions, context, lease });
    const started = performance.now();
    const held = await lease();
    let speech: Speech;
    let spectrogram: Uint8Array | undefined;
    try {
      speech = await held.speech.speak(input.text, speakOptions);
      if (input.spectrogram) spectrogram = await draw(held.speech, speech.samples);
    } finally {
      held.release();
    }
    logDone(context, speech, started);
    return {
      ...(await deliverSound(speech, { input, model, target, signal: context.signal })),
      ...(spectrogram && { spectrogram_base64: Buffer.from(spectrogram).toString('base64') }),
    };
  };
}

async function draw(speaker: Speaker, samples: Float32Array): Promise<Uint8Array> {
  return spectrogramPng(await speaker.mel(samples), speaker.info.geometry.mels);
}

interface Streamed {
  input: SpeechInput;
  model: string;
  speakOptions: SpeakOptions;
  context: JobContext;
  lease: () => ReturnType<SpeechPool['acquireSpeech']>;
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

interface Surroundings {
  options: SpeechHandlerOptions;
  library: VoiceLibrary;
  prepared: PreparedVoices;
  context: JobContext;
}

/** The library's options for a job's, with its voices made ready. */
async function speakOptionsOf(
  input: SpeechInput,
  { options, library, prepared, context }: Surroundings,
): Promise<SpeakOptions> {
  const { signal } = context;
  const name = options.hearingModel ?? 'base';
  const hearing = { name, transcriber: whisperTranscriber(options.pool, name) };
  const prepare = (
    audio: Uint8Array | string,
    text: string | undefined,
    targetRms: number | null | undefined,
  ) => prepared.prepare({ audio, text, targetRms: targetRms ?? undefined }, hearing, signal);

  const voices: Record<string, NamedVoice> = {};
  for (const tag of namedVoices(input.text, await library.names())) {
    const { audio, text, settings } = await library.find(tag);
    const voice = await prepare(audio, text, input.target_rms ?? settings.target_rms);
    voices[tag] = { voice, ...(settings.speed === undefined ? {} : { speed: settings.speed }) };
  }
  if (input.voice !== null) {
    const { audio, text, settings } = await library.find(input.voice);
    const voice = await prepare(audio, text, input.target_rms ?? settings.target_rms);
    return { voice, voices, ...flowOptions(input, settings, context) };
  }
  const reference = await fetchReference(input, options, signal);
  try {
    const text = input.reference_text ?? undefined;
    const voice = await prepare(reference.source, text, input.target_rms);
    return { voice, voices, ...flowOptions(input, {}, context) };
  } finally {
    await reference.dispose();
  }
}

/** Voices that the text's tags name. @throws ArgumentError INVALID_ARGUMENT where one is unknown */
function namedVoices(text: string, voices: readonly string[]): Set<string> {
  const parts = parseScript(text, { voices });
  return new Set(parts.flatMap((part) => ('voice' in part ? [part.voice] : [])));
}

function fetchReference(input: SpeechInput, options: SpeechHandlerOptions, signal: AbortSignal) {
  const { reference_audio: audio, reference_audio_base64: base64 } = input;
  if (!audio && !base64) {
    throw new JobError(
      'JOB_INVALID',
      'F5-TTS speaks with a given voice: send voice, reference_audio or reference_audio_base64',
    );
  }
  const names = { audio: 'reference_audio', base64: 'reference_audio_base64' };
  return fetchAudio({ audio, audio_base64: base64 }, options, signal, names);
}

/** What the job says, else what its voice's settings do, else the library's default. */
function flowOptions(
  input: SpeechInput,
  settings: VoiceSettings,
  context: JobContext,
): Omit<SpeakOptions, 'voice' | 'voices'> {
  return {
    ...settingsOptions(settings),
    ...settingsOptions(input),
    ...(input.duration === null ? {} : { duration: input.duration }),
    ...{ normalizeText: input.normalize_text, signal: context.signal },
    onProgress: progressReporter(context),
  };
}

function progressReporter(context: JobContext): NonNullable<SpeakOptions['onProgress']> {
  const started = performance.now();
  let last = started;
  return ({ fraction, chunk, chunks }) => {
    const now = performance.now();
    if (now - last < PROGRESS_MS || fraction <= 0) return;
    last = now;
    const left = ((now - started) / 1000) * (1 / fraction - 1);
    context.progress({
      ...{ fraction: Number(fraction.toFixed(4)), chunk, chunks },
      estimated_seconds_left: Number(left.toFixed(1)),
    });
  };
}
