/** Every default of Whisper's options, and the checks of what a caller gives instead. */
import { ArgumentError, invalidArgument } from '../errors.js';
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
import { resolveSpeechOptions, type ResolvedSpeechOptions } from './speech_options.js';
import type { TranscribeOptions, TranscribeProgress, WhisperOptions } from './types.js';

/** Devices and types as `voxpod info` names them. */
const devicePattern = /^(cpu|cuda(:\d{1,3})?)$/;
const dtypes = ['auto', 'float32', 'bfloat16', 'float16', 'int8'] as const;

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
    maxBatch = 16,
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
  'beamSize',
  'patience',
  'lengthPenalty',
  'repetitionPenalty',
  'noRepeatNgramSize',
  'compressionRatioThreshold',
  'logProbThreshold',
  'noSpeechThreshold',
  'conditionOnPreviousText',
  'initialPrompt',
  'carryInitialPrompt',
  'prefix',
  'hotwords',
  'suppressTokens',
  'suppressBlank',
  'maxInitialTimestamp',
  'withoutTimestamps',
  'sampleLength',
  'clipTimestamps',
  'wordTimestamps',
  'batchSize',
  'vad',
  'detector',
  'multilingual',
  'prependPunctuations',
  'appendPunctuations',
  'hallucinationSilenceThreshold',
  'seed',
  'signal',
  'onProgress',
];

export interface ResolvedTranscribeOptions extends ResolvedSpeechOptions {
  /** As given; undefined to detect it. */
  language: string | undefined;
  task: 'transcribe' | 'translate';
  temperatures: readonly number[];
  bestOf: number;
  /** Undefined: greedy. */
  beamSize: number | undefined;
  patience: number;
  /** Undefined: mean log-probability a token. */
  lengthPenalty: number | undefined;
  repetitionPenalty: number;
  noRepeatNgramSize: number;
  compressionRatioThreshold: number | null;
  logProbThreshold: number | null;
  noSpeechThreshold: number | null;
  conditionOnPreviousText: boolean;
  initialPrompt: string | undefined;
  carryInitialPrompt: boolean;
  prefix: string | undefined;
  hotwords: string | undefined;
  suppressTokens: readonly number[];
  suppressBlank: boolean;
  /** Seconds; null for no limit. */
  maxInitialTimestamp: number | null;
  withoutTimestamps: boolean;
  /** Undefined: half of the text context. */
  sampleLength: number | undefined;
  clipTimestamps: readonly number[];
  wordTimestamps: boolean;
  multilingual: boolean;
  prependPunctuations: string;
  appendPunctuations: string;
  hallucinationSilenceThreshold: number | null;
  seed: number;
  signal: AbortSignal | undefined;
  onProgress: ((progress: TranscribeProgress) => void) | undefined;
}

/** The model reads 223 tokens of prompt at most, some 1000 characters; more is cut off in front. */
const longestPrompt = 5000;
const mostTemperatures = 20;
/** Many more than a day of audio has use for. */
const mostClips = 4096;
/** Those of openai-whisper, whisper/timing.py. */
const prependedPunctuations = '"\'“¿([{-';
const appendedPunctuations = '"\'.。,，!！?？:：”)]}、';

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

function checkClips(value: unknown): number[] {
  const times = checkList('clipTimestamps', value, 2 * mostClips, (name, item) =>
    checkNumber(name, item, { min: 0 }),
  );
  for (const [i, time] of times.entries()) {
    const before = times[i - 1];
    if (before === undefined || time > before || (i % 2 === 0 && time === before)) continue;
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `Expected ascending seconds for clipTimestamps but received ${time} behind ${before}.`,
    );
  }
  return times;
}

/** Refuses an option that does nothing without another. */
function checkCompany(options: TranscribeOptions): void {
  const needs: [keyof TranscribeOptions, boolean, string][] = [
    ['patience', options.beamSize !== undefined, 'beamSize'],
    ['hallucinationSilenceThreshold', options.wordTimestamps === true, 'wordTimestamps: true'],
  ];
  for (const [name, isThere, needed] of needs) {
    const value = options[name];
    if (value === undefined || value === null || isThere) continue;
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `${name} says nothing without ${needed}. Give both or neither.`,
    );
  }
  if (options.multilingual === true && options.language !== undefined) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      'multilingual hears the language of each window, and language names one for all: give one of them.',
    );
  }
}

function checkText(name: string, value: unknown): string | undefined {
  return value === undefined ? undefined : checkString(name, value, longestPrompt);
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveTranscribeOptions(options?: TranscribeOptions): ResolvedTranscribeOptions {
  checkOptions('options of transcribe', options, transcribeOptionNames);
  const {
    language,
    task = 'transcribe',
    temperature = [0, 0.2, 0.4, 0.6, 0.8, 1],
    bestOf = 5,
    beamSize,
    patience = 1,
    lengthPenalty,
    repetitionPenalty = 1,
    noRepeatNgramSize = 0,
    compressionRatioThreshold = 2.4,
    logProbThreshold = -1,
    noSpeechThreshold = 0.6,
    conditionOnPreviousText = true,
    initialPrompt,
    carryInitialPrompt = false,
    prefix,
    hotwords,
    suppressTokens = [-1],
    suppressBlank = true,
    maxInitialTimestamp = 1,
    withoutTimestamps = false,
    sampleLength,
    clipTimestamps = [0],
    wordTimestamps = false,
    multilingual = false,
    prependPunctuations = prependedPunctuations,
    appendPunctuations = appendedPunctuations,
    hallucinationSilenceThreshold = null,
    seed = 0,
    signal,
    onProgress,
  } = options ?? {};
  checkCompany(options ?? {});
  const whole = { integer: true };
  return {
    language: language === undefined ? undefined : checkString('language', language, 100),
    task: checkOneOf('task', task, ['transcribe', 'translate']),
    temperatures: checkTemperatures(temperature),
    bestOf: checkNumber('bestOf', bestOf, { min: 1, max: 64, ...whole }),
    beamSize:
      beamSize === undefined
        ? undefined
        : checkNumber('beamSize', beamSize, { min: 1, max: 64, ...whole }),
    patience: checkNumber('patience', patience, { min: 0.01, max: 100 }),
    lengthPenalty:
      lengthPenalty === undefined
        ? undefined
        : checkNumber('lengthPenalty', lengthPenalty, { min: 0, max: 1 }),
    repetitionPenalty: checkNumber('repetitionPenalty', repetitionPenalty, { min: 0.1, max: 10 }),
    noRepeatNgramSize: checkNumber('noRepeatNgramSize', noRepeatNgramSize, {
      ...{ min: 0, max: 224 },
      ...whole,
    }),
    compressionRatioThreshold: checkThreshold(
      'compressionRatioThreshold',
      compressionRatioThreshold,
    ),
    logProbThreshold: checkThreshold('logProbThreshold', logProbThreshold),
    noSpeechThreshold: checkThreshold('noSpeechThreshold', noSpeechThreshold),
    conditionOnPreviousText: checkBoolean('conditionOnPreviousText', conditionOnPreviousText),
    initialPrompt: checkText('initialPrompt', initialPrompt),
    carryInitialPrompt: checkBoolean('carryInitialPrompt', carryInitialPrompt),
    prefix: checkText('prefix', prefix),
    hotwords: checkText('hotwords', hotwords),
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
    clipTimestamps: checkClips(clipTimestamps),
    wordTimestamps: checkBoolean('wordTimestamps', wordTimestamps),
    ...resolveSpeechOptions(options ?? {}),
    multilingual: checkBoolean('multilingual', multilingual),
    prependPunctuations: checkString('prependPunctuations', prependPunctuations, 200),
    appendPunctuations: checkString('appendPunctuations', appendPunctuations, 200),
    hallucinationSilenceThreshold:
      hallucinationSilenceThreshold === null
        ? null
        : checkNumber('hallucinationSilenceThreshold', hallucinationSilenceThreshold, {
            min: 0,
            max: 600,
          }),
    seed: checkNumber('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER, ...whole }),
    signal: checkSignal('signal', signal),
    onProgress: checkFunction('onProgress', onProgress),
  };
}
