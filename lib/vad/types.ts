/** What a voice activity detector is, and what is made of its probabilities. */

/** Hertz of the audio that detectors take. */
export const vadRate = 16_000;
/** Samples that one probability stands for: 32 ms. */
export const vadWindow = 512;

/** One recording's way through a detector. */
export interface DetectorStream {
  /**
   * Takes the next samples (mono, 16 kHz) and gives probabilities of speech, one for each window of
   * 512 samples, in order. A detector that looks ahead gives them later. However the recording is
   * cut into pushes, the probabilities are the same. The array must not change before the promise
   * settles, and the next push or finish waits for it.
   * @throws ArgumentError INVALID_ARGUMENT; NativeError DISPOSED; the signal's reason
   */
  push(pcm: Float32Array): Promise<Float32Array>;
  /** All probabilities that are still missing; the last window is padded with zeros. */
  finish(): Promise<Float32Array>;
}

export interface SpeechDetector {
  readonly name: string;
  /** A stream for one recording; `signal` ends its calls. */
  stream(signal?: AbortSignal): DetectorStream;
}

/** A stretch with speech, in seconds of the recording. */
export interface SpeechSpan {
  start: number;
  end: number;
}

export interface VadOptions {
  /** From this probability on, a window begins speech; default 0.5. */
  threshold?: number;
  /** Below it, speech may end; default `threshold` - 0.15, at least 0.01. */
  negativeThreshold?: number;
  /** Seconds: shorter speech is left out; default 0. */
  minSpeech?: number;
  /** Seconds of silence that end a span; default 0.16. */
  minSilence?: number;
  /** Seconds of the longest span, padding included; Infinity for no limit; default 30. */
  maxSpeech?: number;
  /** Seconds added at both ends of a span, at most half of the silence there; default 0.4. */
  speechPad?: number;
}

export interface ChunkOptions {
  /** Seconds of the longest chunk; default 30, Whisper's window. */
  maxSeconds?: number;
  /** Seconds of silence that a chunk may hold between two spans; default 3. */
  maxGap?: number;
}
