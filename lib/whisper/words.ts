/**
 * The words of a window's segments, with times and probabilities. Method: openai-whisper,
 * whisper/timing.py, add_word_timestamps.
 */
import { strip } from '../text/python.js';
import type { TokenWord } from '../text/words.js';
import type { Word } from './types.js';

export interface WordTiming extends TokenWord {
  /** Seconds from the start of the window. */
  start: number;
  end: number;
  probability: number;
}

export interface Punctuations {
  /** Those that belong to the word behind them. */
  prepend: string;
  /** Those that belong to the word before them. */
  append: string;
}

/** A segment whose times follow its words. */
export interface SegmentTimes {
  /** Seconds from the start of the recording. */
  start: number;
  end: number;
}

/** Positions of the encoder a second. */
const positionsPerSecond = 50;
/** Seconds; no median of durations counts for more. */
const longestMedian = 0.7;
const sentenceEnds = '.。!！?？';

/** Times of words from those of their tokens, `words` being all the tokens in order. */
export function timeWords(
  words: readonly TokenWord[],
  starts: Int32Array,
  probabilities: Float32Array,
): WordTiming[] {
  let first = 0;
  return words.map(({ word, tokens }) => {
    const behind = first + tokens.length;
    const own = probabilities.subarray(first, behind);
    const timing = {
      word,
      tokens,
      start: (starts[first] ?? 0) / positionsPerSecond,
      end: (starts[behind] ?? 0) / positionsPerSecond,
      probability: own.reduce((sum, p) => sum + p, 0) / own.length,
    };
    first = behind;
    return timing;
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** The usual length of a word, for bounds of what is too long; 0 where no word has any. */
export function medianDuration(words: readonly WordTiming[]): number {
  const durations = words.map(({ start, end }) => end - start).filter((length) => length !== 0);
  return durations.length === 0 ? 0 : Math.min(longestMedian, median(durations));
}

/** Cuts pauses off words at the ends of sentences: punctuation, and what follows it. */
export function shortenAtSentenceEnds(words: readonly WordTiming[], longest: number): void {
  for (const [i, word] of words.entries()) {
    const before = words[i - 1];
    if (before === undefined || word.end - word.start <= longest) continue;
    if (sentenceEnds.includes(word.word)) word.end = word.start + longest;
    else if (sentenceEnds.includes(before.word)) word.start = word.end - longest;
  }
}

/** Joins punctuation with its word; the place it had stays, without text or tokens. */
export function mergePunctuations(
  words: readonly TokenWord[],
  { prepend, append }: Punctuations,
): void {
  const last = words.length - 1;
  let following = words[last];
  for (let i = last - 1; i >= 0 && following !== undefined; i--) {
    const word = words[i];
    if (word === undefined) continue;
    if (word.word.startsWith(' ') && prepend.includes(strip(word.word))) {
      following.word = word.word + following.word;
      following.tokens = [...word.tokens, ...following.tokens];
      word.word = '';
      word.tokens = [];
    } else {
      following = word;
    }
  }
  let [previous] = words;
  for (const word of words.slice(1)) {
    if (previous !== undefined && !previous.word.endsWith(' ') && append.includes(word.word)) {
      previous.word += word.word;
      previous.tokens = [...previous.tokens, ...word.tokens];
      word.word = '';
      word.tokens = [];
    } else {
      previous = word;
    }
  }
}

/** Python's round(x, 2); the two differ where x lies half way between, which no time here does. */
function roundToHundredths(seconds: number): number {
  return Number(seconds.toFixed(2));
}

/**
 * Hands the words out to the segments, whose times it moves to theirs, and keeps the words at a
 * segment's ends from reaching over a pause.
 * @param tokenCounts text tokens of each segment.
 * @param offset seconds at which the window starts.
 * @param lastSpeech seconds up to which there was speech before the window.
 */
export function assignWords(
  segments: readonly SegmentTimes[],
  tokenCounts: readonly number[],
  timings: readonly WordTiming[],
  { offset, lastSpeech, usual }: { offset: number; lastSpeech: number; usual: number },
): Word[][] {
  let next = 0;
  let spokenTo = lastSpeech;
  return segments.map((segment, index) => {
    const words: Word[] = [];
    const count = tokenCounts[index] ?? 0;
    for (let taken = 0; next < timings.length && taken < count; next++) {
      const timing = timings[next];
      if (timing === undefined) break;
      taken += timing.tokens.length;
      if (timing.word === '') continue;
      words.push({
        word: timing.word,
        start: roundToHundredths(offset + timing.start),
        end: roundToHundredths(offset + timing.end),
        probability: timing.probability,
      });
    }
    const [first] = words;
    const last = words.at(-1);
    if (first === undefined || last === undefined) return words;
    shortenAfterPause(first, words[1], spokenTo, usual);

    // The model's own times count where a word at the end reaches far beyond them.
    if (segment.start < first.end && segment.start - 0.5 > first.start) {
      first.start = Math.max(0, Math.min(first.end - usual, segment.start));
    } else {
      segment.start = first.start;
    }
    if (segment.end > last.start && segment.end + 0.5 < last.end) {
      last.end = Math.max(last.start + usual, segment.end);
    } else {
      segment.end = last.end;
    }
    spokenTo = segment.end;
    return words;
  });
}

/** The first two words after a pause take no more of it than two usual words would. */
function shortenAfterPause(
  first: Word,
  second: Word | undefined,
  spokenTo: number,
  usual: number,
): void {
  const longest = usual * 2;
  const isLong =
    first.end - first.start > longest ||
    (second !== undefined && second.end - first.start > longest * 2);
  if (first.end - spokenTo <= usual * 4 || !isLong) return;
  if (second !== undefined && second.end - second.start > longest) {
    const boundary = Math.max(second.end / 2, second.end - longest);
    first.end = boundary;
    second.start = boundary;
  }
  first.start = Math.max(0, first.end - longest);
}
