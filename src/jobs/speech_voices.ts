/** What a speech job speaks with: voices made ready, the recording it sends, the options of its flow. */
import type { NamedVoice, SpeakOptions } from '../../lib/index.js';
import { JobError } from '../../lib/errors.js';
import { parseScript } from '../../lib/f5/script.js';
import { DEFAULT_WHISPER } from '../models/catalogue.js';
import type { JobContext } from '../runpod/job.js';
import { whisperTranscriber } from '../voices/hearing.js';
import type { PreparedVoices } from '../voices/prepared_voices.js';
import { settingsOptions, type VoiceLibrary, type VoiceSettings } from '../voices/voice_library.js';
import { fetchAudio } from './audio_input.js';
import type { SpeechHandlerOptions } from './speech.js';
import type { SpeechInput } from './speech_schema.js';

/** Between two reports of a job's progress. */
const PROGRESS_MS = 1000;

export interface Surroundings {
  options: SpeechHandlerOptions;
  library: VoiceLibrary;
  prepared: PreparedVoices;
  context: JobContext;
}

/** The library's options for a job's, with its voices made ready. */
export async function speakOptionsOf(
  input: SpeechInput,
  { options, library, prepared, context }: Surroundings,
): Promise<SpeakOptions> {
  const { signal } = context;
  const name = options.hearingModel ?? DEFAULT_WHISPER;
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

export function fetchReference(
  input: SpeechInput,
  options: SpeechHandlerOptions,
  signal: AbortSignal,
) {
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

export function progressReporter(context: JobContext): NonNullable<SpeakOptions['onProgress']> {
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
