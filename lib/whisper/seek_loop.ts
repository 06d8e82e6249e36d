/**
 * Whisper's loop over a recording: a window of 30 s is decoded, cut into segments, and the next
 * window starts where the last whole segment ended. Method: openai-whisper, transcribe().
 */
import { roundHalfEven, strip } from '../text/python.js';
import { isSilence, type Attempt, type Thresholds } from './fallback.js';
import { judge } from './hallucination.js';
import type { PromptHistory } from './prompt.js';
import {
  framesPerSecond,
  secondsAt,
  splitWindow,
  windowFrames,
  type Clip,
  type Piece,
  type WindowLayout,
} from './segments.js';
import type { Segment, Word } from './types.js';
import {
  assignWords,
  medianDuration,
  mergePunctuations,
  shortenAtSentenceEnds,
  type Punctuations,
  type WordTiming,
} from './words.js';

/** How words are found in a window. */
export interface WordSearch extends Punctuations {
  /** Times the words of a window's text tokens, of which there is one at least. */
  align(seek: number, size: number, tokens: readonly number[]): Promise<WordTiming[]>;
  /** Tokens from this one on are no text. */
  endOfText: number;
  hallucinationSilenceThreshold: number | null;
}

export interface SeekLoop {
  /** Reads on up to a frame: that frame, or the recording's end where it comes before. */
  reach(frame: number): Promise<number>;
  /** Starts and ends of the parts to transcribe, in frames. */
  clips: Iterable<Clip> | AsyncIterable<Clip>;
  /** Frames: less than so much of a clip is not heard on its own. */
  shortestRest: number;
  timestampBegin: number;
  framesPerTimestamp: number;
  thresholds: Thresholds;
  conditionOnPreviousText: boolean;
  history: PromptHistory;
  /** Decodes `size` frames from `seek`, prompted with `previous`. */
  decode(seek: number, size: number, previous: readonly number[]): Promise<Attempt>;
  /** Absent where no words are wanted. */
  words?: WordSearch;
  /** Text of tokens, timestamps left out. */
  text(tokens: readonly number[]): string;
  /** Told the frame up to which the recording is done; it may lie behind the end. */
  onPosition(frame: number): void;
}

/** A window this hot is not worth prompting with. */
const hottestPrompt = 0.5;

type TimedPiece = Piece & { words?: Word[] };

/** Yields the segments of the recording as its windows are decoded. */
export async function* seekLoop(loop: SeekLoop): AsyncGenerator<Segment, void, undefined> {
  const { history, thresholds, timestampBegin, framesPerTimestamp } = loop;
  let id = 0;
  let lastSpeech = 0;
  for await (const [clipStart, clipEnd] of loop.clips) {
    let seek = clipStart;
    for (;;) {
      const end = await loop.reach(Math.min(clipEnd, seek + windowFrames));
      if (seek >= end || (seek > clipStart && end - seek < loop.shortestRest)) break;
      const layout: WindowLayout = {
        ...{ seek, size: end - seek },
        ...{ timestampBegin, framesPerTimestamp },
      };
      const attempt = await loop.decode(seek, layout.size, history.previous());
      if (isSilence(attempt, thresholds)) {
        seek += layout.size;
        loop.onPosition(seek);
        continue;
      }

      const window = await findSegments(loop, attempt, layout, lastSpeech);
      // A window that would not move on would be decoded for ever.
      seek = window.next > seek ? window.next : seek + layout.size;
      loop.onPosition(seek);
      if (window.pieces === 'none') continue;
      lastSpeech = window.lastSpeech;
      const found = window.pieces.map((piece) =>
        segmentOf(piece, id++, layout.seek, attempt, loop.text(piece.tokens)),
      );
      const segments = await inRecording(found, end, (frame) => loop.reach(frame));
      for (const segment of segments) history.add(segment.tokens);
      if (!loop.conditionOnPreviousText || attempt.temperature > hottestPrompt) history.reset();
      yield* segments;
    }
  }
}

interface FoundSegments {
  /** "none" where the window does not count: it is heard again from `next` on. */
  pieces: TimedPiece[] | 'none';
  next: number;
  lastSpeech: number;
}

async function findSegments(
  loop: SeekLoop,
  attempt: Attempt,
  layout: WindowLayout,
  lastSpeech: number,
): Promise<FoundSegments> {
  const { pieces, next, endsInOne } = splitWindow(attempt.tokens, layout);
  if (loop.words === undefined) return { pieces, next, lastSpeech };

  const words = await findWords(loop.words, pieces, layout, lastSpeech);
  const timed = pieces.map((piece, i) => ({ ...piece, words: words[i] ?? [] }));
  const found = { pieces: timed, next, lastSpeech: endOf(timed) ?? lastSpeech };
  const threshold = loop.words.hallucinationSilenceThreshold;
  const end = endOf(timed);
  if (!endsInOne && end !== undefined && end > secondsAt(layout.seek)) {
    const rest = secondsAt(layout.seek + windowFrames) - end;
    // A rest that is shorter than a silence that counts is not heard again.
    const isOver = threshold !== null && rest <= threshold;
    found.next = isOver ? layout.seek + layout.size : roundHalfEven(end * framesPerSecond);
  }
  if (threshold === null) return found;
  const frames = await loop.reach(layout.seek + windowFrames + threshold * framesPerSecond + 1);
  const verdict = judge(timed, layout, { frames, lastSpeech, threshold });
  found.next = verdict.next ?? found.next;
  if (verdict.keep === 'none') return { ...found, pieces: 'none' };
  const kept = timed.slice(0, verdict.keep);
  return { ...found, pieces: kept, lastSpeech: endOf(kept) ?? lastSpeech };
}

/** The words of each piece, whose times are moved to theirs. */
async function findWords(
  search: WordSearch,
  pieces: Piece[],
  { seek, size }: WindowLayout,
  lastSpeech: number,
): Promise<Word[][]> {
  const text = pieces.map(({ tokens }) => tokens.filter((token) => token < search.endOfText));
  const tokens = text.flat();
  const timings = tokens.length === 0 ? [] : await search.align(seek, size, tokens);
  const usual = medianDuration(timings);
  shortenAtSentenceEnds(timings, usual * 2);
  mergePunctuations(timings, search);
  const counts = text.map(({ length }) => length);
  return assignWords(pieces, counts, timings, { offset: secondsAt(seek), lastSpeech, usual });
}

/** Seconds at which the last word ends, or the last segment where there are no words. */
function endOf(pieces: readonly { end: number; words: readonly Word[] }[]): number | undefined {
  const last = pieces.findLast(({ words }) => words.length > 0);
  return last?.words.at(-1)?.end ?? pieces.at(-1)?.end;
}

/** A segment without length or text keeps its place and loses its content. */
function segmentOf(
  { start, end, tokens, words }: TimedPiece,
  id: number,
  seek: number,
  attempt: Attempt,
  text: string,
): Segment {
  const empty = start === end || strip(text) === '';
  return {
    ...{ id, seek, start, end },
    text: empty ? '' : text,
    tokens: empty ? [] : tokens,
    temperature: attempt.temperature,
    avgLogProb: attempt.avgLogProb,
    compressionRatio: attempt.compressionRatio,
    noSpeechProb: attempt.noSpeechProb,
    ...(words === undefined ? {} : { words: empty ? [] : words }),
  };
}

/**
 * Segments and words up to the recording's end: the reference lets the last ones lie behind it. It
 * is looked for where a time lies behind `end`, up to which the recording was read.
 */
async function inRecording(
  segments: Segment[],
  end: number,
  reach: SeekLoop['reach'],
): Promise<Segment[]> {
  const parts = segments.flatMap((segment) => [segment, ...(segment.words ?? [])]);
  const last = Math.max(...parts.flatMap((part) => [part.start, part.end]));
  if (last <= secondsAt(end)) return segments;
  const behind = Math.ceil(last * framesPerSecond) + 1;
  const reached = await reach(behind);
  if (reached === behind) return segments;
  const bound = secondsAt(reached);
  const inside = <Part extends { start: number; end: number }>(part: Part): Part => ({
    ...part,
    start: Math.min(part.start, bound),
    end: Math.min(part.end, bound),
  });
  return segments.map((segment) => ({
    ...inside(segment),
    ...(segment.words === undefined ? {} : { words: segment.words.map(inside) }),
  }));
}
