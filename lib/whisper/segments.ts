/**
 * Splits what was decoded in a window into segments, and says where the next window starts.
 * Method: openai-whisper, whisper/transcribe.py, the body of its loop over windows.
 */
import { roundHalfEven } from '../text/python.js';

/** Frames of 10 ms in a second. */
export const framesPerSecond = 100;
/** Frames of a window: 30 s. */
export const windowFrames = 3000;

const hop = 160;
const sampleRate = 16_000;

/** Seconds at a frame; multiplied before it is divided, as the reference does, for equal times. */
export function secondsAt(frame: number): number {
  return (frame * hop) / sampleRate;
}

export interface WindowLayout {
  /** Frame at which the window starts. */
  seek: number;
  /** Frames of the window that hold audio. */
  size: number;
  /** Token of 0.00 s. */
  timestampBegin: number;
  /** Frames between two timestamps: 2. */
  framesPerTimestamp: number;
}

export interface Piece {
  /** Seconds from the start of the recording. */
  start: number;
  end: number;
  /** Timestamps included. */
  tokens: number[];
}

export interface Split {
  pieces: Piece[];
  /** Frame at which the next window starts. */
  next: number;
  /** Whether one timestamp at the end, not two, says that no speech follows it in the window. */
  endsInOne: boolean;
}

/**
 * Parts of a recording, in frames, from the seconds at which they start and end in turn; the last
 * one's end may be left out, and is then that of the recording, wherever it is.
 */
export function clipFrames(seconds: readonly number[]): [number, number][] {
  const points = seconds.map((time) => roundHalfEven(time * framesPerSecond));
  if (points.length === 0) points.push(0);
  const clips: [number, number][] = [];
  for (let i = 0; i < points.length; i += 2) {
    clips.push([points[i] ?? 0, points[i + 1] ?? Infinity]);
  }
  return clips;
}

/** Starts of pieces after the first: between two timestamps in a row, one ends and one begins. */
function cuts(tokens: readonly number[], timestampBegin: number): number[] {
  const found: number[] = [];
  for (let i = 1; i < tokens.length; i++) {
    if ((tokens[i - 1] ?? 0) >= timestampBegin && (tokens[i] ?? 0) >= timestampBegin) found.push(i);
  }
  return found;
}

export function splitWindow(tokens: readonly number[], layout: WindowLayout): Split {
  const { seek, size, timestampBegin, framesPerTimestamp } = layout;
  const offset = secondsAt(seek);
  const precision = secondsAt(framesPerTimestamp);
  const position = (token: number | undefined): number =>
    (token ?? timestampBegin) - timestampBegin;
  const isTimestamp = (token: number | undefined): boolean =>
    token !== undefined && token >= timestampBegin;

  const endsInOne = tokens.length >= 2 && isTimestamp(tokens.at(-1)) && !isTimestamp(tokens.at(-2));
  const ends = cuts(tokens, timestampBegin);
  if (ends.length === 0) {
    const last = tokens.findLast(isTimestamp);
    const spoken =
      last !== undefined && last !== timestampBegin ? position(last) * precision : secondsAt(size);
    return {
      pieces: [{ start: offset, end: offset + spoken, tokens: [...tokens] }],
      next: seek + size,
      endsInOne,
    };
  }

  const unfinished = ends.at(-1) ?? 0;
  if (endsInOne) ends.push(tokens.length);
  let from = 0;
  const pieces = ends.map((end): Piece => {
    const piece = tokens.slice(from, end);
    from = end;
    return {
      start: offset + position(piece[0]) * precision,
      end: offset + position(piece.at(-1)) * precision,
      tokens: piece,
    };
  });
  if (endsInOne) return { pieces, next: seek + size, endsInOne };
  // What stands behind the last pair was cut off by the window's end: it is heard again. Without
  // the timestamp rules a model may write 0.00 twice, which would stay here for ever.
  const advance = position(tokens[unfinished - 1]) * framesPerTimestamp;
  return { pieces, next: seek + (advance > 0 ? advance : size), endsInOne };
}
