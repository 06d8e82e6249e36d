/**
 * How many frames an utterance gets, exactly as the reference decides (SWivid/F5-TTS,
 * infer/utils_infer.py infer_batch_process and model/cfm.py sample): the reference's own pace in
 * bytes of UTF-8, blanks at the end of its text counted.
 */
import { ArgumentError } from '../errors.js';

/** Hertz, and samples of a frame: those of all checkpoints. */
export const sampleRate = 24_000;
export const hop = 256;

/**
 * Shorter texts are given more than three times as long, whatever speed is asked for. So 9 bytes take
 * longer than 20 do: what is said in them is slow or has silence behind it. A given duration sets it.
 */
const shortBytes = 10;
const shortSpeed = 0.3;

/**
 * Rows of the text embedding's table of positions, behind which the reference fails: 87 s. No pace
 * of a real voice comes near it with the chunks that texts are cut into.
 */
export const mostFrames = 8192;

export const byteLength = (text: string): number => Buffer.byteLength(text, 'utf8');

export interface UtteranceLength {
  /** Samples of the reference at 24 kHz. */
  referenceSamples: number;
  /** Frames of its mel. */
  melFrames: number;
  referenceText: string;
  text: string;
  /** Tokens of both texts. */
  tokens: number;
  speed: number;
  /** Frames of speech; absent: estimated from the text. */
  speechFrames?: number | undefined;
}

/** Frames of the reference that stand before what is said. */
export const referenceFrames = (samples: number): number => Math.floor(samples / hop);

/**
 * Frames of the reference and what is said.
 * @throws ArgumentError INVALID_ARGUMENT where they are more than the models can hold.
 */
export function utteranceFrames(length: UtteranceLength): number {
  const { referenceSamples, melFrames, tokens, speechFrames } = length;
  const wanted = referenceFrames(referenceSamples) + (speechFrames ?? estimatedFrames(length));
  const frames = Math.max(tokens + 1, melFrames + 1, wanted);
  if (frames <= mostFrames) return frames;
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(length.text.slice(0, 60))} would take ${seconds(frames - melFrames)} s at the pace of the reference, and the models hold ${seconds(mostFrames)} s with it. Give the text of the whole reference, a higher speed, or shorter sentences.`,
  );
}

/** Of speech. */
export function estimatedFrames({
  referenceSamples,
  referenceText,
  text,
  speed,
}: Pick<UtteranceLength, 'referenceSamples' | 'referenceText' | 'text' | 'speed'>): number {
  const bytes = byteLength(text);
  const pace = referenceFrames(referenceSamples) / byteLength(referenceText);
  return Math.trunc((pace * bytes) / (bytes < shortBytes ? shortSpeed : speed));
}

const seconds = (frames: number): string => ((frames * hop) / sampleRate).toFixed(0);
