/**
 * Whisper's loop over a recording: a window of 30 s is decoded, cut into segments, and the next
 * window starts where the last whole segment ended. Method: openai-whisper, transcribe().
 */
import { strip } from '../text/python.js';
import { isSilence, type Attempt, type Thresholds } from './fallback.js';
import type { PromptHistory } from './prompt.js';
import { splitWindow, windowFrames } from './segments.js';
import type { Segment } from './types.js';

export interface SeekLoop {
  /** Frames of the recording. */
  frames: number;
  timestampBegin: number;
  framesPerTimestamp: number;
  thresholds: Thresholds;
  conditionOnPreviousText: boolean;
  history: PromptHistory;
  /** Decodes `size` frames from `seek`, prompted with `previous`. */
  decode(seek: number, size: number, previous: readonly number[]): Promise<Attempt>;
  /** Text of tokens, timestamps left out. */
  text(tokens: readonly number[]): string;
  /** Told the frame up to which the recording is done. */
  onPosition(frame: number): void;
}

/** A window this hot is not worth prompting with. */
const hottestPrompt = 0.5;

/** Yields the segments of the recording as its windows are decoded. */
export async function* seekLoop(loop: SeekLoop): AsyncGenerator<Segment, void, undefined> {
  const { frames, history, thresholds, timestampBegin, framesPerTimestamp } = loop;
  let seek = 0;
  let id = 0;
  while (seek < frames) {
    const size = Math.min(windowFrames, frames - seek);
    const attempt = await loop.decode(seek, size, history.previous());
    if (isSilence(attempt, thresholds)) {
      seek += size;
      loop.onPosition(Math.min(frames, seek));
      continue;
    }

    const layout = { seek, size, timestampBegin, framesPerTimestamp };
    const { pieces, next } = splitWindow(attempt.tokens, layout);
    const segments = pieces.map((piece): Segment => {
      const text = loop.text(piece.tokens);
      // A segment without length or text keeps its place and loses its content.
      const empty = piece.start === piece.end || strip(text) === '';
      return {
        id: id++,
        seek: layout.seek,
        start: piece.start,
        end: piece.end,
        text: empty ? '' : text,
        tokens: empty ? [] : piece.tokens,
        temperature: attempt.temperature,
        avgLogProb: attempt.avgLogProb,
        compressionRatio: attempt.compressionRatio,
        noSpeechProb: attempt.noSpeechProb,
      };
    });
    for (const segment of segments) history.add(segment.tokens);
    if (!loop.conditionOnPreviousText || attempt.temperature > hottestPrompt) history.reset();
    seek = next;
    loop.onPosition(Math.min(frames, seek));
    yield* segments;
  }
}
