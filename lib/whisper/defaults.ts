/** Every default of Whisper's options, and the checks of what a caller gives instead. */
import { invalidArgument } from '../errors.js';
import type { WhisperLoadOptions } from '../native.js';
import {
  checkBoolean,
  checkFunction,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
} from '../validate.js';
import type { TranscribeOptions, TranscribeProgress, WhisperOptions } from './types.js';

/** Devices and types as `voxpod info` names them. */
const devicePattern = /^(cpu|cuda(:\d{1,3})?)$/;
const dtypes = ['auto', 'float32', 'bfloat16', 'float16'] as const;

const whisperOptionNames: readonly (keyof WhisperOptions)[] = [
  'device',
  'dtype',
  'threads',
  'maxBatch',
  'maxQueue',
  'signal',
  'onProgress',
];

export interface ResolvedWhisperOptions {
  native: WhisperLoadOptions;
  signal: AbortSignal | undefined;
  onProgress: ((fraction: number) => void) | undefined;
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveWhisperOptions(options?: WhisperOptions): ResolvedWhisperOptions {
  checkOptions('options of Whisper.load', options, whisperOptionNames);
  const {
    device = 'cpu',
    dtype = 'auto',
    threads = 0,
    maxBatch = 8,
    maxQueue = 256,
    signal,
    onProgress,
  } = options ?? {};
  if (!devicePattern.test(checkString('device', device, 100))) {
    throw invalidArgument('device', '"cpu", "cuda" or "cuda:N"', device);
  }
  return {
    native: {
      device,
      dtype: checkOneOf('dtype', dtype, dtypes),
      threads: checkNumber('threads', threads, { min: 0, max: 1024, integer: true }),
      maxBatch: checkNumber('maxBatch', maxBatch, { min: 1, max: 256, integer: true }),
      maxQueue: checkNumber('maxQueue', maxQueue, { min: 1, max: 65_536, integer: true }),
    },
    signal: checkSignal('signal', signal),
    onProgress: checkFunction('onProgress', onProgress),
  };
}

const transcribeOptionNames: readonly (keyof TranscribeOptions)[] = [
  'language',
  'task',
  'temperature',
  'bestOf',
  'compressionRatioThreshold',
  'logProbThreshold',
  'noSpeechThreshold',
  'conditionOnPreviousText',
  'initialPrompt',
  'carryInitialPrompt',
  'suppressTokens',
  'suppressBlank',
  'maxInitialTimestamp',
  'withoutTimestamps',
  'sampleLength',
  'seed',
  'signal',
  'onProgress',
];

export interface ResolvedTranscribeOptions {
  /** As given; undefined to detect it. */
  language: string | undefined;
  task: 'transcribe' | 'translate';
  temperatures: readonly number[];
  bestOf: number;
  compressionRatioThreshold: number | null;
  logProbThreshold: number | null;
  noSpeechThreshold: number | null;
  conditionOnPreviousText: boolean;
  initialPrompt: string | undefined;
  carryInitialPrompt: boolean;
  suppressTokens: readonly number[];
  suppressBlank: boolean;
  /** Seconds; null for no limit. */
  maxInitialTimestamp: number | null;
  withoutTimestamps: boolean;
  /** Undefined: half of the text context. */
  sampleLength: number | undefined;
  seed: number;
  signal: AbortSignal | undefined;
  onProgress: ((progress: TranscribeProgress) => void) | undefined;
}

/** The model reads 223 tokens of prompt at most, some 1000 characters; more is cut off in front. */
const longestPrompt = 5000;
const mostTemperatures = 20;

/** Numbers of a list, copied: the caller may go on to change the list. */
function checkList(
  name: string,
  value: unknown,
  most: number,
  check: (name: string, item: unknown) => number,
): number[] {
  if (!Array.isArray(value)) throw invalidArgument(name, 'an array of numbers', value);
  if (value.length > most) {
    throw invalidArgument(name, `at most ${most} numbers`, `${value.length} numbers`);
  }
  return value.map((item: unknown, i) => check(`${name}[${i}]`, item));
}

function checkTemperatures(value: unknown): number[] {
  const check = (name: string, item: unknown): number =>
    checkNumber(name, item, { min: 0, max: 10 });
  if (!Array.isArray(value)) return [check('temperature', value)];
  if (value.length === 0) throw invalidArgument('temperature', 'at least one number', '[]');
  return checkList('temperature', value, mostTemperatures, check);
}

function checkThreshold(name: string, value: unknown): number | null {
  return value === null ? null : checkNumber(name, value);
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveTranscribeOptions(options?: TranscribeOptions): ResolvedTranscribeOptions {
  checkOptions('options of transcribe', options, transcribeOptionNames);
  const {
    language,
    task = 'transcribe',
    temperature = [0, 0.2, 0.4, 0.6, 0.8, 1],
    bestOf = 5,
    compressionRatioThreshold = 2.4,
    logProbThreshold = -1,
    noSpeechThreshold = 0.6,
    conditionOnPreviousText = true,
    initialPrompt,
    carryInitialPrompt = false,
    suppressTokens = [-1],
    suppressBlank = true,
    maxInitialTimestamp = 1,
    withoutTimestamps = false,
    sampleLength,
    seed = 0,
    signal,
    onProgress,
  } = options ?? {};
  const whole = { integer: true };
  return {
    language: language === undefined ? undefined : checkString('language', language, 100),
    task: checkOneOf('task', task, ['transcribe', 'translate']),
    temperatures: checkTemperatures(temperature),
    bestOf: checkNumber('bestOf', bestOf, { min: 1, max: 64, ...whole }),
    compressionRatioThreshold: checkThreshold(
      'compressionRatioThreshold',
      compressionRatioThreshold,
    ),
    logProbThreshold: checkThreshold('logProbThreshold', logProbThreshold),
    noSpeechThreshold: checkThreshold('noSpeechThreshold', noSpeechThreshold),
    conditionOnPreviousText: checkBoolean('conditionOnPreviousText', conditionOnPreviousText),
    initialPrompt:
      initialPrompt === undefined
        ? undefined
        : checkString('initialPrompt', initialPrompt, longestPrompt),
    carryInitialPrompt: checkBoolean('carryInitialPrompt', carryInitialPrompt),
    suppressTokens: checkList('suppressTokens', suppressTokens, 65_536, (name, item) =>
      checkNumber(name, item, { min: -1, ...whole }),
    ),
    suppressBlank: checkBoolean('suppressBlank', suppressBlank),
    maxInitialTimestamp:
      maxInitialTimestamp === null
        ? null
        : checkNumber('maxInitialTimestamp', maxInitialTimestamp, { min: 0, max: 30 }),
    withoutTimestamps: checkBoolean('withoutTimestamps', withoutTimestamps),
    sampleLength:
      sampleLength === undefined
        ? undefined
        : checkNumber('sampleLength', sampleLength, { min: 1, max: 448, ...whole }),
    seed: checkNumber('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER, ...whole }),
    signal: checkSignal('signal', signal),
    onProgress: checkFunction('onProgress', onProgress),
  };
}
