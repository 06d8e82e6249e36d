/** Runs a transcription job: audio in, the official Whisper worker's output out. */
import { resolveVadOptions } from '../../lib/vad/defaults.js';
import type { SpeechDetector, VadOptions } from '../../lib/vad/types.js';
import type { AudioSource } from '../../lib/audio/source.js';
import type { Segment, TranscribeOptions, Transcript } from '../../lib/whisper/types.js';
import { formatTranscript } from '../../lib/whisper/writers.js';
import { JobError, messageOf } from '../../lib/errors.js';
import type { Handler, JobContext } from '../runpod/job.js';
import { fetchAudio, type AudioInputOptions } from './audio_input.js';
import { jobModel } from './job_model.js';
import {
  parseTranscription,
  type OutputSegment,
  type OutputWord,
  type TextFormat,
  type TranscriptionInput,
  type TranscriptionOutput,
} from './transcription_schema.js';

export type { OutputSegment, TranscriptionOutput } from './transcription_schema.js';

/** A loaded Whisper model, as far as a job needs it. */
export interface Transcriber {
  /** `device`: where it computes, "cpu" or "cuda:0"; one that is not multilingual knows English only. */
  readonly info: { readonly device: string; readonly multilingual: boolean };
  transcribe(audio: AudioSource, options?: TranscribeOptions): Promise<Transcript>;
}

/** Where loaded models come from. */
export interface WhisperPool {
  acquireWhisper(
    name: string,
    options?: { signal?: AbortSignal },
  ): Promise<{ readonly whisper: Transcriber; release(): void }>;
}

export interface TranscriptionHandlerOptions extends AudioInputOptions {
  pool: WhisperPool;
  /** For jobs that name none. Default "base", as the official worker. */
  defaultModel?: string;
  /**
   * Models beside the catalogue's, or in their place: what a job calls them, and what the pool is
   * asked for (a folder, say). A job itself can only give a name.
   */
  models?: ReadonlyMap<string, string>;
  /** Finds speech for jobs that look for it. Default: the library's own, without weights. */
  detector?: (signal: AbortSignal) => Promise<SpeechDetector>;
}

/** Between two reports of a job's progress. */
const PROGRESS_MS = 1000;

export function transcriptionHandler(options: TranscriptionHandlerOptions): Handler {
  return async (job, context): Promise<TranscriptionOutput> => {
    const input = parseTranscription(job.input);
    const model = input.model ?? options.defaultModel ?? 'base';
    const source = jobModel(model, 'whisper', options.models);
    checkVad(input);
    const audio = await fetchAudio(input, options, context.signal);
    try {
      // Before the model, which other jobs can use while this is loaded.
      const detector = looksForSpeech(input) ? await options.detector?.(context.signal) : undefined;
      const lease = await options.pool.acquireWhisper(source, {
        signal: context.signal,
      });
      try {
        return await transcribe(lease.whisper, audio.source, { input, model, detector, context });
      } finally {
        lease.release();
      }
    } finally {
      await audio.dispose();
    }
  };
}

/** A job, and what it is done with. */
interface Work {
  input: TranscriptionInput;
  model: string;
  detector: SpeechDetector | undefined;
  context: JobContext;
}

async function transcribe(
  whisper: Transcriber,
  audio: Uint8Array | string,
  work: Work,
): Promise<TranscriptionOutput> {
  const { input, model, context } = work;
  if (input.translate && !whisper.info.multilingual) {
    throw new JobError(
      'JOB_INVALID',
      `translate: the model ${model} knows English only and cannot translate. Use a multilingual one, such as base`,
    );
  }
  const started = performance.now();
  const { transcript, translation } = await passes(whisper, audio, work);
  const seconds = (performance.now() - started) / 1000;
  const found = transcript.detector === undefined ? '' : `, speech found by ${transcript.detector}`;
  context.log.info(
    `Transcribed ${transcript.duration.toFixed(1)} s of audio in ${seconds.toFixed(2)} s${found}.`,
  );
  return {
    segments: transcript.segments.map(outputSegment),
    detected_language: transcript.language,
    transcription: formatText(transcript, input.transcription),
    translation: translation ? formatText(translation, input.translation) : null,
    device: whisper.info.device.startsWith('cuda') ? 'cuda' : 'cpu',
    model,
    ...(input.word_timestamps ? { word_timestamps: outputWords(transcript) } : {}),
  };
}

interface Passes {
  transcript: Transcript;
  translation?: Transcript;
}

/** As the official worker does: the text in its own language, and the English one beside it. */
async function passes(
  whisper: Transcriber,
  audio: Uint8Array | string,
  { input, detector, context }: Work,
): Promise<Passes> {
  const { signal } = context;
  const pass = (source: AudioSource, number: number, options?: TranscribeOptions) =>
    whisper.transcribe(source, {
      ...{ ...transcribeOptions(input), ...(detector && { detector }), ...options, signal },
      onProgress: progressReporter(context, number, input.translate ? 2 : 1),
    });
  const transcript = await pass(audio, 0);
  if (!input.translate) return { transcript };
  // Decoded anew, so that no recording is ever held whole.
  const heard = input.multilingual ? {} : { language: transcript.language };
  return { transcript, translation: await pass(audio, 1, { ...heard, task: 'translate' }) };
}

/** The library's options for a job's. */
export function transcribeOptions(input: TranscriptionInput): TranscribeOptions {
  const beams = input.beam_size ?? 1;
  return {
    temperature: temperatures(input.temperature, input.temperature_increment_on_fallback),
    compressionRatioThreshold: input.compression_ratio_threshold,
    logProbThreshold: input.logprob_threshold,
    noSpeechThreshold: input.no_speech_threshold,
    conditionOnPreviousText: input.condition_on_previous_text,
    seed: input.seed,
    ...(beams > 1 ? { beamSize: beams, patience: input.patience ?? 1 } : {}),
    // The official default, 0, would rank by the sum, which is best for texts that break off early.
    ...(input.length_penalty ? { lengthPenalty: input.length_penalty } : {}),
    ...(input.word_timestamps ? { wordTimestamps: true } : {}),
    ...(input.language ? { language: input.language } : {}),
    ...(input.initial_prompt ? { initialPrompt: input.initial_prompt } : {}),
    ...(input.best_of === null ? {} : { bestOf: input.best_of }),
    ...(input.suppress_tokens === null ? {} : { suppressTokens: tokenIds(input.suppress_tokens) }),
    ...(input.batch_size > 1 ? { batchSize: input.batch_size } : {}),
    ...(looksForSpeech(input) ? { vad: vadOptions(input.vad_parameters) } : {}),
    ...(input.multilingual ? { multilingual: true } : {}),
  };
}

/** A recording is cut for a batch where nobody speaks, whatever `enable_vad` says. */
function looksForSpeech({ enable_vad, batch_size }: TranscriptionInput): boolean {
  return enable_vad || batch_size > 1;
}

/**
 * What contradicts itself is refused before anything is fetched for it.
 * @throws JobError JOB_INVALID
 */
function checkVad(input: TranscriptionInput): void {
  try {
    resolveVadOptions(vadOptions(input.vad_parameters));
  } catch (error) {
    throw new JobError('JOB_INVALID', `vad_parameters: ${messageOf(error)}`, { cause: error });
  }
}

/** The library has seconds throughout. */
function vadOptions(parameters: TranscriptionInput['vad_parameters']): VadOptions {
  const values: [keyof VadOptions, number | null | undefined, number][] = [
    ['threshold', parameters?.threshold, 1],
    ['negativeThreshold', parameters?.neg_threshold, 1],
    ['minSpeech', parameters?.min_speech_duration_ms, 1000],
    ['maxSpeech', parameters?.max_speech_duration_s, 1],
    ['minSilence', parameters?.min_silence_duration_ms, 1000],
    ['speechPad', parameters?.speech_pad_ms, 1000],
  ];
  return Object.fromEntries(
    values.flatMap(([name, value, unit]) => (value == null ? [] : [[name, value / unit]])),
  );
}

/** From the first temperature up to 1 in steps; only the first without a step. */
function temperatures(first: number, step: number | null): number[] {
  const all = [first];
  // Multiples, not sums, so that 0.2 * 3 reads 0.6 in the result after rounding.
  for (let i = 1; step && first + i * step <= 1 + 1e-6; i += 1) {
    all.push(Math.min(1, Number((first + i * step).toFixed(6))));
    // A tiny step asks for no more attempts than openai-whisper's default.
    if (all.length >= 20) break;
  }
  return all;
}

function tokenIds(text: string): number[] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number);
}

function formatText(transcript: Transcript, format: TextFormat): string {
  if (format === 'srt' || format === 'vtt') return formatTranscript(transcript, format);
  const separator = format === 'plain_text' ? ' ' : '\n';
  return transcript.segments.map((segment) => segment.text.trim()).join(separator);
}

/** One flat list, as the official worker gives it. */
function outputWords({ segments }: Transcript): OutputWord[] {
  return segments.flatMap(({ words = [] }) =>
    words.map(({ word, start, end }) => ({ word, start, end })),
  );
}

function outputSegment(segment: Segment): OutputSegment {
  return {
    id: segment.id,
    seek: segment.seek,
    start: segment.start,
    end: segment.end,
    text: segment.text,
    tokens: [...segment.tokens],
    temperature: segment.temperature,
    avg_logprob: segment.avgLogProb,
    compression_ratio: segment.compressionRatio,
    no_speech_prob: segment.noSpeechProb,
    ...(segment.language === undefined ? {} : { language: segment.language }),
  };
}

function progressReporter(
  context: JobContext,
  pass: number,
  passes: number,
): NonNullable<TranscribeOptions['onProgress']> {
  let last = performance.now();
  return ({ position, duration, estimatedSecondsLeft }) => {
    if (performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    const fraction = duration === undefined ? undefined : (pass + position / duration) / passes;
    context.progress({
      position,
      ...(fraction === undefined ? {} : { fraction: Number(fraction.toFixed(4)), duration }),
      // Of the last pass alone there is nothing behind it.
      ...(estimatedSecondsLeft === undefined || pass + 1 < passes
        ? {}
        : { estimated_seconds_left: Number(estimatedSecondsLeft.toFixed(1)) }),
    });
  };
}
