/** Every default of F5-TTS's options, and the checks of what a caller gives instead. */
import { randomInt } from 'node:crypto';
import { ArgumentError, invalidArgument } from '../errors.js';
import type { F5LoadOptions } from '../native.js';
import {
  checkBoolean,
  checkFunction,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
} from '../validate.js';
import type { F5Version, LocateOptions } from './config.js';
import { checkEdits, type SpeechEdit } from './speech_edit.js';
import type {
  EditOptions,
  F5Options,
  FlowOptions,
  SpeakOptions,
  SpeakProgress,
  VoiceOptions,
} from './types.js';
import type { PinyinFolder } from './tokenizer.js';
import { Voice } from './voice.js';

/** Devices and types as `voxpod info` names them. */
const devicePattern = /^(cpu|cuda(:\d{1,3})?)$/;

const f5OptionNames: readonly (keyof F5Options)[] = [
  'vocoder',
  'vocabulary',
  'pinyin',
  'version',
  'device',
  'dtype',
  'threads',
  'maxBatchFrames',
  'maxQueue',
  'signal',
  'onProgress',
];
const versions: readonly F5Version[] = ['v1', 'v0', 'e2'];

export interface ResolvedF5Options {
  native: Omit<F5LoadOptions, 'architecture'>;
  locate: LocateOptions;
  pinyin: PinyinFolder | undefined;
  signal: AbortSignal | undefined;
  onProgress: ((fraction: number) => void) | undefined;
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveF5Options(options?: F5Options): ResolvedF5Options {
  checkOptions('options of F5TTS.load', options, f5OptionNames);
  const {
    vocoder,
    vocabulary,
    pinyin,
    version,
    device = 'cpu',
    dtype = 'auto',
    threads = 0,
    maxBatchFrames = 4096,
    maxQueue = 256,
    signal,
    onProgress,
  } = options ?? {};
  if (!devicePattern.test(checkString('device', device, 100))) {
    throw invalidArgument('device', '"cpu", "cuda" or "cuda:N"', device);
  }
  const whole = { integer: true };
  const path = (name: string, value: string | undefined): string | undefined =>
    value === undefined ? undefined : checkString(name, value, 4096);
  return {
    native: {
      device,
      dtype: checkOneOf('dtype', dtype, ['auto', 'float32', 'bfloat16', 'float16']),
      threads: checkNumber('threads', threads, { min: 0, max: 1024, ...whole }),
      maxBatchFrames: checkNumber('maxBatchFrames', maxBatchFrames, {
        ...{ min: 1, max: 1 << 20 },
        ...whole,
      }),
      maxQueue: checkNumber('maxQueue', maxQueue, { min: 1, max: 65_536, ...whole }),
    },
    locate: {
      vocoder: path('vocoder', vocoder),
      vocabulary: path('vocabulary', vocabulary),
      version: version === undefined ? undefined : checkOneOf('version', version, versions),
    },
    pinyin: typeof pinyin === 'function' ? pinyin : path('pinyin', pinyin),
    signal: checkSignal('signal', signal),
    onProgress: checkFunction('onProgress', onProgress),
  };
}

export interface ResolvedFlowOptions {
  seed: number;
  steps: number;
  cfgStrength: number;
  swaySamplingCoef: number;
  epss: boolean;
  method: 'euler' | 'midpoint';
  signal: AbortSignal | undefined;
  onProgress: ((progress: SpeakProgress) => void) | undefined;
}

const flowOptionNames: readonly (keyof FlowOptions)[] = [
  'seed',
  'steps',
  'cfgStrength',
  'swaySamplingCoef',
  'epss',
  'method',
  'signal',
  'onProgress',
];

function resolveFlowOptions(options: FlowOptions): ResolvedFlowOptions {
  const {
    // Those that torch and the reference's own tools draw.
    seed = randomInt(2 ** 31),
    steps = 32,
    cfgStrength = 2,
    swaySamplingCoef = -1,
    epss = true,
    method = 'euler',
    signal,
    onProgress,
  } = options;
  return {
    seed: checkNumber('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true }),
    steps: checkNumber('steps', steps, { min: 1, max: 128, integer: true }),
    cfgStrength: checkNumber('cfgStrength', cfgStrength, { min: 0, max: 10 }),
    // Beyond it the times would not rise.
    swaySamplingCoef: checkNumber('swaySamplingCoef', swaySamplingCoef, { min: -1, max: 1 }),
    epss: checkBoolean('epss', epss),
    method: checkOneOf('method', method, ['euler', 'midpoint']),
    signal: checkSignal('signal', signal),
    onProgress: checkFunction('onProgress', onProgress),
  };
}

const speakOptionNames: readonly (keyof SpeakOptions)[] = [
  ...flowOptionNames,
  'voice',
  'voices',
  'speed',
  'duration',
  'crossFade',
  'removeSilence',
  'normalizeText',
];

export interface ResolvedSpeakOptions extends ResolvedFlowOptions {
  voice: Voice;
  /** By their names as tags write them. */
  voices: ReadonlyMap<string, { voice: Voice; speed: number | undefined }>;
  speed: number;
  duration: number | undefined;
  crossFade: number;
  removeSilence: boolean;
  normalizeText: boolean;
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveSpeakOptions(options: SpeakOptions): ResolvedSpeakOptions {
  checkOptions('options of speak', options, speakOptionNames);
  const {
    voice,
    voices = {},
    speed = 1,
    duration,
    crossFade = 0.15,
    removeSilence = false,
    normalizeText = true,
  } = options ?? {};
  return {
    ...resolveFlowOptions(options),
    voice: checkVoice('voice', voice),
    voices: new Map(
      Object.entries(checkOptions('voices', voices, Object.keys(voices ?? {}))).map(
        ([name, value]) => [name, checkNamedVoice(`voices.${name.slice(0, 60)}`, value)],
      ),
    ),
    speed: checkSpeed('speed', speed),
    duration:
      duration === undefined
        ? undefined
        : checkNumber('duration', duration, { min: 0.1, max: 3600 }),
    crossFade: checkNumber('crossFade', crossFade, { min: 0, max: 10 }),
    removeSilence: checkBoolean('removeSilence', removeSilence),
    normalizeText: checkBoolean('normalizeText', normalizeText),
  };
}

const editOptionNames: readonly (keyof EditOptions)[] = [
  ...flowOptionNames,
  'text',
  'edits',
  'normalizeText',
  'targetRms',
];

export interface ResolvedEditOptions extends ResolvedFlowOptions {
  text: string;
  /** Not yet compared with the recording's length. */
  edits: readonly SpeechEdit[];
  normalizeText: boolean;
  targetRms: number;
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveEditOptions(options: EditOptions): ResolvedEditOptions {
  checkOptions('options of edit', options, editOptionNames);
  const { text, edits, normalizeText = true, targetRms = 0.1 } = options ?? {};
  return {
    ...resolveFlowOptions(options),
    text: checkString('text', text, longestReferenceText),
    edits: checkEdits(edits),
    normalizeText: checkBoolean('normalizeText', normalizeText),
    targetRms: checkRms(targetRms),
  };
}

function checkRms(value: unknown): number {
  return checkNumber('targetRms', value, { min: 0.001, max: 1 });
}

function checkSpeed(name: string, value: unknown): number {
  return checkNumber(name, value, { min: 0.1, max: 10 });
}

function checkVoice(name: string, value: unknown): Voice {
  if (value instanceof Voice) return value;
  throw invalidArgument(name, 'a Voice, as F5TTS.voice makes it,', value);
}

function checkNamedVoice(
  name: string,
  value: unknown,
): { voice: Voice; speed: number | undefined } {
  if (value instanceof Voice) return { voice: value, speed: undefined };
  const { voice, speed } = checkOptions(name, value, ['voice', 'speed']);
  return {
    voice: checkVoice(`${name}.voice`, voice),
    speed: speed === undefined ? undefined : checkSpeed(`${name}.speed`, speed),
  };
}

const voiceOptionNames: readonly (keyof VoiceOptions)[] = [
  'text',
  'transcriber',
  'targetRms',
  'signal',
];

export interface ResolvedVoiceOptions {
  text: string | undefined;
  transcriber: VoiceOptions['transcriber'];
  targetRms: number;
  signal: AbortSignal | undefined;
}

/** Far more than anybody says in 10 minutes. */
const longestReferenceText = 20_000;

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveVoiceOptions(options?: VoiceOptions): ResolvedVoiceOptions {
  checkOptions('options of voice', options, voiceOptionNames);
  const { text, transcriber, targetRms = 0.1, signal } = options ?? {};
  return {
    text: text === undefined ? undefined : checkReferenceText(text),
    transcriber: checkFunction('transcriber', transcriber),
    targetRms: checkRms(targetRms),
    signal: checkSignal('signal', signal),
  };
}

function checkReferenceText(value: unknown): string {
  const text = checkString('text', value, longestReferenceText).trim();
  if (/[\p{L}\p{N}]/u.test(text)) return text;
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    "The reference's text has no letter or digit. Give what is said in it, or leave it out.",
  );
}
