/** Options and results of F5-TTS. Times are seconds. Defaults are in `defaults.ts`. */
import type { AudioSource } from '../audio/source.js';
import type { F5Geometry } from '../native.js';
import type { F5Version } from './config.js';
import type { TimedWord } from './reference_text.js';
import type { SpeechEdit } from './speech_edit.js';
import type { PinyinFolder } from './tokenizer.js';
import type { Voice } from './voice.js';

export interface F5Options {
  /**
   * File or folder of the vocoder: Vocos, or BigVGAN for models trained with it. Default: vocoder/ in
   * the model's folder.
   */
  vocoder?: string;
  /** vocab.txt or its folder. Default: that of the model's folder. */
  vocabulary?: string;
  /**
   * Folder with pypinyin's dictionaries (phrases_dict.json and pinyin_dict.json of 0.55.0), or what
   * gets it when the first Chinese text comes. Without it Chinese is refused.
   */
  pinyin?: PinyinFolder;
  /**
   * Which F5-TTS a checkpoint is, where neither a config beside it nor its name says so: "v1", "v0"
   * (F5TTS_Base and most models trained from it), or "e2" for E2-TTS.
   */
  version?: F5Version;
  /** "cpu" (default), "cuda" or "cuda:N". */
  device?: string;
  /** "auto" (default) takes the fastest type the device computes well. */
  dtype?: 'auto' | 'float32' | 'bfloat16' | 'float16';
  /** CPU threads; default one for each core. */
  threads?: number;
  /** Frames (93.75 a second) of all utterances that are computed at once. Default 4096. */
  maxBatchFrames?: number;
  /** Utterances that may wait; one more is refused with QUEUE_FULL. Default 256. */
  maxQueue?: number;
  signal?: AbortSignal;
  /** Gets the fraction of the weights that is loaded, 0 to 1. */
  onProgress?: (fraction: number) => void;
}

/** What was loaded. */
export interface F5Info {
  checkpoint: string;
  device: string;
  /** Type of the weights: "float32", "bfloat16" or "float16". */
  dtype: string;
  weightBytes: number;
  geometry: F5Geometry;
}

/** How the flow is computed. */
export interface FlowOptions {
  /**
   * Seed of the noise: the same gives the same sound, whatever else is computed. Default: drawn at
   * random and told in the result.
   */
  seed?: number;
  /** Steps of the flow, 1 to 128. Default 32; 16 and 7 are faster. */
  steps?: number;
  /** Strength of classifier-free guidance, 0 to 10. Default 2. */
  cfgStrength?: number;
  /** Bends the schedule, -1 to 1: below 0 more steps at its beginning. Default -1. */
  swaySamplingCoef?: number;
  /** Whether 5, 6, 7, 10, 12 and 16 steps are at the points of EPSS. Default true. */
  epss?: boolean;
  /** "euler" (default) or "midpoint", which evaluates the model twice a step. */
  method?: 'euler' | 'midpoint';
  signal?: AbortSignal;
  onProgress?: (progress: SpeakProgress) => void;
}

export interface SpeakOptions extends FlowOptions {
  voice: Voice;
  /** The voices that `[name]` in the text changes to, each with a speed of its own if it has one. */
  voices?: Readonly<Record<string, Voice | NamedVoice>>;
  /**
   * Rate of speech, 0.1 to 10. Default 1. Utterances of less than 10 bytes are given the time of 0.3 in
   * any case, as F5-TTS's own tools do: at their pace the model would swallow them.
   */
  speed?: number;
  /** Seconds that all of it is to take, pauses not counted. Default: estimated from the text. */
  duration?: number;
  /** Seconds over which chunks are joined, 0 to 10. Default 0.15. */
  crossFade?: number;
  /** Cut silence of more than a second. Default false. */
  removeSilence?: boolean;
  /** Write numbers, dates, units and abbreviations out in words first. Default true. */
  normalizeText?: boolean;
}

export interface StreamOptions extends SpeakOptions {
  /** Keep the first chunk short, so that its sound comes the earlier. Default true. */
  shortStart?: boolean;
}

export interface EditOptions extends FlowOptions {
  /** What is said in the whole recording when it is edited, what is kept of it included. */
  text: string;
  /** Parts to speak anew, in order and apart. */
  edits: readonly SpeechEdit[];
  /** Write numbers, dates, units and abbreviations out in words first. Default true. */
  normalizeText?: boolean;
  /** A quieter recording is raised to this root mean square for computing. Default 0.1. */
  targetRms?: number;
}

export interface NamedVoice {
  voice: Voice;
  /** Default: the speed of the call. */
  speed?: number;
}

export interface SpeakProgress {
  /** Of the work, 0 to 1. */
  fraction: number;
  /** Chunks that are done, and all. */
  chunk: number;
  chunks: number;
}

/** A piece of the sound, as it comes. */
export interface SpeechBlock {
  /** Mono. */
  samples: Float32Array;
}

/** A chunk of the text, as it was spoken. */
export interface SpokenChunk {
  text: string;
  /** Name of the voice where a tag chose it. */
  voice?: string;
  /** Seconds of sound. */
  duration: number;
}

/** What was spoken, but for the sound. */
export interface SpeechSummary {
  /** Hertz: 24000. */
  sampleRate: number;
  seed: number;
  /** Seconds. */
  duration: number;
  chunks: SpokenChunk[];
  /** What may sound badly, and why: sentences. Mostly none. */
  warnings: string[];
}

export interface Speech extends SpeechSummary {
  /** Mono, between -1 and 1 for the most part. */
  samples: Float32Array;
}

/** Hears what is said in a reference; with `words` also when, in seconds of the audio. */
export type Transcriber = (
  audio: AudioSource,
  options: { words: boolean; signal: AbortSignal | undefined },
) => Promise<{ text: string; words?: readonly TimedWord[] }>;

export interface VoiceOptions {
  /** What is said in the recording. Default: the `transcriber` hears it. */
  text?: string;
  /** Is asked where there is no text, or where the recording is too long for all of it. */
  transcriber?: Transcriber;
  /** A quieter recording is raised to this root mean square for computing. Default 0.1. */
  targetRms?: number;
  signal?: AbortSignal;
}
