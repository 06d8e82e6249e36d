/** The options that say which parts of a recording are transcribed, and how many at once. */
import { ArgumentError, invalidArgument } from '../errors.js';
import { checkNumber } from '../validate.js';
import { resolveVadOptions } from '../vad/defaults.js';
import { EnergyDetector } from '../vad/energy.js';
import type { SpeechDetector, VadOptions } from '../vad/types.js';
import type { TranscribeOptions } from './types.js';

export interface ResolvedSpeechOptions {
  batchSize: number;
  /** As given, checked; undefined: speech is not looked for. */
  vad: VadOptions | undefined;
  detector: SpeechDetector;
}

function checkDetector(value: SpeechDetector): SpeechDetector {
  if (typeof value !== 'object' || value === null || typeof value.stream !== 'function') {
    throw invalidArgument('detector', 'a SileroDetector or an EnergyDetector', value);
  }
  return value;
}

function contradiction(message: string): ArgumentError {
  return new ArgumentError('INVALID_ARGUMENT', message);
}

/** @throws ArgumentError INVALID_ARGUMENT */
export function resolveSpeechOptions(options: TranscribeOptions): ResolvedSpeechOptions {
  const batchSize = checkNumber('batchSize', options.batchSize ?? 1, {
    ...{ min: 1, max: 64 },
    integer: true,
  });
  const { clipTimestamps } = options;
  const { vad = batchSize > 1 && clipTimestamps === undefined } = options;
  if (typeof vad !== 'boolean' && (typeof vad !== 'object' || vad === null)) {
    throw invalidArgument('vad', 'a boolean or options of voice activity detection', vad);
  }
  if (vad !== false && clipTimestamps !== undefined) {
    throw contradiction('clipTimestamps name what to transcribe, and vad looks for it: give one.');
  }
  if (vad === false && batchSize > 1 && clipTimestamps === undefined) {
    throw contradiction(
      'batchSize above 1 needs to know where the recording may be cut: leave vad on, or give clipTimestamps.',
    );
  }
  if (vad === false && options.detector !== undefined) {
    throw contradiction('detector says nothing without vad. Give both or neither.');
  }
  if (typeof vad === 'object') resolveVadOptions(vad);
  return {
    batchSize,
    vad: vad === false ? undefined : vad === true ? {} : { ...vad },
    detector: checkDetector(options.detector ?? new EnergyDetector()),
  };
}
