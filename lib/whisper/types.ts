/** Options and results of Whisper. Times are seconds. Defaults are in `defaults.ts`. */
import type { WhisperGeometry } from '../native.js';
import type { SpeechDetector, VadOptions } from '../vad/types.js';

export interface WhisperOptions {
  /** "cpu" (default), "cuda" or "cuda:N". */
  device?: string;
  /**
   * "auto" (default) takes the fastest type the device computes well. "int8" keeps the decoder's
   * weights in 8 bits, on a CPU: half the memory to read at each step.
   */
  dtype?: 'auto' | 'float32' | 'bfloat16' | 'float16' | 'int8';
  /** CPU threads; default one for each core. */
  threads?: number;
  /**
   * Windows decoded at once, from however many callers; each beam or sample of one counts. A window
   * with more of them is decoded alone. Default 16.
   */
  maxBatch?: number;
  /** Windows that may wait to be decoded; one more is refused with QUEUE_FULL. Default 256. */
  maxQueue?: number;
  signal?: AbortSignal;
  /** Gets the fraction of the weights that is loaded, 0 to 1. */
  onProgress?: (fraction: number) => void;
}

export interface TranscribeOptions {
  /** Code or English name ("de", "german"); detected from the first window where absent. */
  language?: string;
  /** "transcribe" (default), or "translate" into English. */
  task?: 'transcribe' | 'translate';
  /** One temperature, or those to fall back to in turn. Default 0, 0.2, ... 1. */
  temperature?: number | readonly number[];
  /** Samples to choose from where the temperature is above 0. Default 5. */
  bestOf?: number;
  /**
   * Beams of the search at temperature 0; at higher ones `bestOf` samples are drawn instead. Absent
   * (default): the most probable token is taken at each step.
   */
  beamSize?: number;
  /** The search ends after beamSize * patience finished texts. Default 1. Needs `beamSize`. */
  patience?: number;
  /**
   * Exponent, 0 to 1, of the length penalty ((5 + length) / 6) ** lengthPenalty by which candidates
   * are ranked (Wu et al. 2016, equation 14). Absent (default): mean log-probability a token.
   */
  lengthPenalty?: number;
  /** Above 1, tokens that a window has are less likely to come again in it. Default 1: off. */
  repetitionPenalty?: number;
  /** No n tokens in a row come twice in a window. Default 0: off. */
  noRepeatNgramSize?: number;
  /** Above it (text length over zlib length) the next temperature is tried. Default 2.4; null: off. */
  compressionRatioThreshold?: number | null;
  /** Below this mean log-probability the next temperature is tried. Default -1; null: off. */
  logProbThreshold?: number | null;
  /** Above it a window with a low log-probability counts as silence. Default 0.6; null: off. */
  noSpeechThreshold?: number | null;
  /** Prompt each window with the text before it. Default true. */
  conditionOnPreviousText?: boolean;
  /** Text to prompt the first window with. */
  initialPrompt?: string;
  /** Prompt every window with `initialPrompt`, not only the first. Default false. */
  carryInitialPrompt?: boolean;
  /** What the first window's text starts with; the transcript goes on behind it, without it. */
  prefix?: string;
  /** Words to expect (names, terms), given to every window before the text so far. */
  hotwords?: string;
  /** Token ids never sampled; -1 stands for the non-speech set. Default [-1]. */
  suppressTokens?: readonly number[];
  /** Keep a window from starting with a blank. Default true. */
  suppressBlank?: boolean;
  /** The first timestamp of a window is at most this. Default 1; null: no limit. */
  maxInitialTimestamp?: number | null;
  /** Text alone, each window one segment. Default false. */
  withoutTimestamps?: boolean;
  /** Tokens sampled in a window at most. Default half of the text context (224). */
  sampleLength?: number;
  /**
   * Seconds at which parts to transcribe start and end in turn, ascending: [start, end, start, ...].
   * The last part goes to the end of the recording where its end is left out. Default [0].
   */
  clipTimestamps?: readonly number[];
  /** Give each segment its words, with times and probabilities. Default false. */
  wordTimestamps?: boolean;
  /**
   * Clips decoded at once, 1 (default) to 64. Above 1 the recording is first cut into clips of 30 s
   * at most: where nobody speaks, or as `clipTimestamps` says. Each is transcribed as a recording of
   * its own, without the text before it; that is several times as fast.
   */
  batchSize?: number;
  /**
   * Transcribe only what holds speech, found by `detector`. Default: false, and true where
   * `batchSize` is above 1 and `clipTimestamps` is absent.
   */
  vad?: boolean | VadOptions;
  /** Finds speech. Default: a new EnergyDetector, which needs no weights; Silero's is better. */
  detector?: SpeechDetector;
  /** Hear the language of each window anew, not only of the first. Default false. */
  multilingual?: boolean;
  /** Punctuation that belongs to the word behind it. */
  prependPunctuations?: string;
  /** Punctuation that belongs to the word before it. */
  appendPunctuations?: string;
  /**
   * Silences longer than this are skipped around segments whose words look made up. Default null:
   * off. Needs `wordTimestamps`.
   */
  hallucinationSilenceThreshold?: number | null;
  /** Seed of the sampling at temperatures above 0. Default 0. */
  seed?: number;
  signal?: AbortSignal;
  onProgress?: (progress: TranscribeProgress) => void;
}

export interface TranscribeProgress {
  /** Seconds of audio behind us. */
  position: number;
  /**
   * Seconds of audio in all. Formats other than WAV only say it of themselves, which is an estimate
   * until the end; absent where nothing is said.
   */
  duration?: number;
  /** Seconds of work left, by the pace so far; absent where the duration is. */
  estimatedSecondsLeft?: number;
}

export interface Word {
  /** With the blank before it, if any, and its punctuation. */
  word: string;
  start: number;
  end: number;
  /** Mean probability of its tokens. */
  probability: number;
}

export interface Segment {
  id: number;
  /** Frame (10 ms) at which the segment's window starts. */
  seek: number;
  start: number;
  end: number;
  text: string;
  tokens: number[];
  temperature: number;
  avgLogProb: number;
  compressionRatio: number;
  noSpeechProb: number;
  /** Present where `wordTimestamps` was asked for. */
  words?: Word[];
  /** Language of the window; present where `multilingual` was asked for. */
  language?: string;
}

export interface Transcript {
  text: string;
  segments: Segment[];
  /** Code of the language that was given or detected. */
  language: string;
  /** Probability of the detected language; absent where it was given. */
  languageProbability?: number;
  /** Seconds of audio. */
  duration: number;
  /** Name of what found the speech, where it was looked for: "silero" or "energy". */
  detector?: string;
}

export interface LanguageDetection {
  /** Code of the most probable language. */
  language: string;
  probability: number;
  /** Probability of every language of the model by code; they sum to 1. */
  probabilities: Record<string, number>;
}

/** What was loaded. */
export interface WhisperInfo {
  folder: string;
  device: string;
  /** Type of the weights: "float32", "bfloat16" or "float16". */
  dtype: string;
  weightBytes: number;
  /** False for English-only models, which take neither language nor task. */
  multilingual: boolean;
  /** Codes of the languages that the model knows. */
  languages: readonly string[];
  geometry: WhisperGeometry;
}
