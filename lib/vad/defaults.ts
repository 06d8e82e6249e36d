/** Every default of voice activity detection, and the checks of what a caller gives instead. */
import { ArgumentError, invalidArgument } from '../errors.js';
import { checkNumber, checkOptions } from '../validate.js';
import { vadRate, vadWindow, type ChunkOptions, type VadOptions } from './types.js';

const vadOptionNames: readonly (keyof VadOptions)[] = [
  'threshold',
  'negativeThreshold',
  'minSpeech',
  'minSilence',
  'maxSpeech',
  'speechPad',
];

/** A day: longer than any pause or padding that makes sense. */
const longest = 86_400;

/**
 * Defaults are those of faster-whisper's batched pipeline (faster_whisper/vad.py and
 * transcribe.py, BatchedInferencePipeline.transcribe).
 * @throws ArgumentError INVALID_ARGUMENT
 */
export function resolveVadOptions(options?: VadOptions): Required<VadOptions> {
  checkOptions('options of voice activity detection', options, vadOptionNames);
  const {
    threshold = 0.5,
    negativeThreshold = Math.max(threshold - 0.15, 0.01),
    minSpeech = 0,
    minSilence = 0.16,
    maxSpeech = 30,
    speechPad = 0.4,
  } = options ?? {};
  const seconds = { min: 0, max: longest };
  const resolved = {
    threshold: checkNumber('threshold', threshold, { min: 0.01, max: 1 }),
    negativeThreshold: checkNumber('negativeThreshold', negativeThreshold, { min: 0, max: 1 }),
    minSpeech: checkNumber('minSpeech', minSpeech, seconds),
    minSilence: checkNumber('minSilence', minSilence, seconds),
    maxSpeech:
      maxSpeech === Infinity ? Infinity : checkNumber('maxSpeech', maxSpeech, { min: 0.1 }),
    speechPad: checkNumber('speechPad', speechPad, seconds),
  };
  if (resolved.negativeThreshold > resolved.threshold) {
    throw invalidArgument(
      'negativeThreshold',
      `at most threshold (${resolved.threshold})`,
      resolved.negativeThreshold,
    );
  }
  const least = 2 * resolved.speechPad + (2 * vadWindow) / vadRate;
  if (resolved.maxSpeech < least) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `A maxSpeech of ${resolved.maxSpeech} s has no room for speech beside a speechPad of ${resolved.speechPad} s at both ends: give at least ${least} s, or less padding.`,
    );
  }
  return resolved;
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveChunkOptions(options?: ChunkOptions): Required<ChunkOptions> {
  checkOptions('options of speech chunks', options, ['maxSeconds', 'maxGap']);
  const { maxSeconds = 30, maxGap = 3 } = options ?? {};
  return {
    maxSeconds: checkNumber('maxSeconds', maxSeconds, { min: 0.1, max: longest }),
    maxGap: checkNumber('maxGap', maxGap, { min: 0, max: longest }),
  };
}
