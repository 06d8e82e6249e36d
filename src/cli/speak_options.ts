/** The options of voxpod speak, from the command line to the library's own. */
import { extname } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { audioFormats, type AudioFormat } from '../../lib/audio/encode.js';
import type { F5Options, SpeakOptions } from '../../lib/index.js';
import type { EditArgument } from './speak_edit.js';
import { given } from './transcribe_options.js';

export const FORMATS = Object.keys(audioFormats) as AudioFormat[];

export interface Options {
  model: string;
  reference?: string;
  referenceText?: string;
  voice?: string;
  edit?: EditArgument[];
  output?: string;
  format?: AudioFormat;
  sampleRate: number;
  spectrogram?: string;
  seed?: number;
  steps?: number;
  cfgStrength?: number;
  sway?: number;
  method?: 'euler' | 'midpoint';
  speed?: number;
  duration?: number;
  crossFade?: number;
  removeSilence?: boolean;
  targetRms?: number;
  normalize: boolean;
  whisper: string;
  vocoder?: string;
  vocabulary?: string;
  modelVersion?: NonNullable<F5Options['version']>;
  device: string;
  dtype: NonNullable<F5Options['dtype']>;
  threads?: number;
}

/** What is given of all but the voices: the rest is the voice's settings, or the library's defaults. */
export function speakOptions(options: Options): Omit<SpeakOptions, 'voice' | 'voices'> {
  const { seed, steps, cfgStrength, sway: swaySamplingCoef, method, speed, duration } = options;
  const { crossFade, removeSilence, normalize } = options;
  return {
    ...given({ seed, steps, cfgStrength, swaySamplingCoef, method, speed, duration }),
    ...given({ crossFade, removeSilence }),
    normalizeText: normalize,
  };
}

/** As given, else as the output's name says, else wav. */
export function formatOf({ format, output }: Pick<Options, 'format' | 'output'>): AudioFormat {
  const extension = extname(output ?? '')
    .slice(1)
    .toLowerCase();
  const named = FORMATS.find((name) => audioFormats[name].extension === extension);
  return format ?? named ?? (extension === 'ogg' ? 'opus' : 'wav');
}

export function rate(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 8000 || value > 48_000) {
    throw new InvalidArgumentError('Expected an integer between 8000 and 48000.');
  }
  return value;
}
