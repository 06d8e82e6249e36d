/** The options of voxpod transcribe, from the command line to the library's own. */
import { InvalidArgumentError } from 'commander';
import { messageOf } from '../../lib/errors.js';
import {
  languageCode,
  type SubtitleOptions,
  type TranscribeOptions,
  type TranscriptFormat,
  type WhisperOptions,
} from '../../lib/index.js';

export interface Options {
  model: string;
  language?: string;
  task: 'transcribe' | 'translate';
  format: TranscriptFormat;
  output?: string;
  device: string;
  dtype: NonNullable<WhisperOptions['dtype']>;
  threads?: number;
  temperature?: number[];
  bestOf?: number;
  beamSize?: number;
  patience?: number;
  lengthPenalty?: number;
  repetitionPenalty?: number;
  noRepeatNgramSize?: number;
  initialPrompt?: string;
  prefix?: string;
  hotwords?: string;
  condition: boolean;
  suppressTokens?: number[];
  clipTimestamps?: number[];
  wordTimestamps: boolean;
  batchSize?: number;
  vad?: boolean;
  multilingual: boolean;
  hallucinationSilenceThreshold?: number;
  highlightWords: boolean;
  maxLineWidth?: number;
  maxLineCount?: number;
  maxWordsPerLine?: number;
  seed?: number;
}

/** The entries that have a value: an option that is not given is no option. */
export function given<Values extends object>(
  values: Values,
): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as ReturnType<typeof given<Values>>;
}

export function subtitleOptions(options: Options): SubtitleOptions {
  const { maxLineWidth, maxLineCount, maxWordsPerLine, highlightWords } = options;
  return { highlightWords, ...given({ maxLineWidth, maxLineCount, maxWordsPerLine }) };
}

export function transcribeOptions(options: Options): TranscribeOptions {
  const { language, task, temperature, bestOf, beamSize, patience, lengthPenalty } = options;
  const { repetitionPenalty, noRepeatNgramSize, initialPrompt, prefix, hotwords, seed } = options;
  const { suppressTokens, clipTimestamps, hallucinationSilenceThreshold } = options;
  const { batchSize, vad, multilingual } = options;
  // What is laid out or judged by words finds them without being told.
  const { highlightWords, ...layout } = subtitleOptions(options);
  const needsWords =
    highlightWords === true ||
    Object.keys(layout).length > 0 ||
    hallucinationSilenceThreshold !== undefined;
  return {
    task,
    conditionOnPreviousText: options.condition,
    wordTimestamps: options.wordTimestamps || needsWords,
    multilingual,
    ...given({ language, temperature, bestOf, beamSize, patience, lengthPenalty }),
    ...given({ repetitionPenalty, noRepeatNgramSize, initialPrompt, prefix, hotwords, seed }),
    ...given({ suppressTokens, clipTimestamps, hallucinationSilenceThreshold, batchSize, vad }),
  };
}

export function language(text: string): string {
  try {
    return languageCode(text);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 1024) {
    throw new InvalidArgumentError('Expected an integer between 1 and 1024.');
  }
  return value;
}

export function seed(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('Expected an integer of at least 0.');
  }
  return value;
}

export function number(text: string): number {
  const [value = NaN, ...others] = numbers(text);
  if (others.length > 0) throw new InvalidArgumentError('Expected one number.');
  return value;
}

/** NaN for what is no number. */
function parts(text: string): number[] {
  return text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
}

export function numbers(text: string): number[] {
  const values = parts(text);
  if (!values.every(Number.isFinite)) {
    throw new InvalidArgumentError('Expected numbers, separated by commas.');
  }
  return values;
}

export function temperatures(text: string): number[] {
  const values = parts(text);
  if (values.some((value) => !(value >= 0 && value <= 2))) {
    throw new InvalidArgumentError('Expected numbers between 0 and 2, separated by commas.');
  }
  return values;
}
