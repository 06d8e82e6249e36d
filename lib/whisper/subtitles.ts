/**
 * Subtitles out of timed words: lines of bounded width and count, and the word that is spoken
 * underlined. Method: openai-whisper, whisper/utils.py, SubtitlesWriter.
 */
import { ArgumentError } from '../errors.js';
import { strip } from '../text/python.js';
import { checkBoolean, checkNumber, checkOptions } from '../validate.js';
import type { Segment, Word } from './types.js';

/** How srt and vtt are laid out; all of it needs words. */
export interface SubtitleOptions {
  /** Characters of a line at most. */
  maxLineWidth?: number;
  /**
   * Lines of a subtitle at most. Needs `maxLineWidth`; subtitles then go on over the ends of
   * segments, and start anew after pauses of 3 s.
   */
  maxLineCount?: number;
  /** Words of a subtitle at most. */
  maxWordsPerLine?: number;
  /** A subtitle for each word, in which it is underlined. Default false. */
  highlightWords?: boolean;
}

export interface Cue {
  /** Seconds. */
  start: number;
  end: number;
  text: string;
}

const optionNames: readonly (keyof SubtitleOptions)[] = [
  'maxLineWidth',
  'maxLineCount',
  'maxWordsPerLine',
  'highlightWords',
];

/** Seconds without a word after which a subtitle does not go on. */
const longPause = 3;

/** @throws ArgumentError INVALID_ARGUMENT */
export function checkSubtitleOptions(options: SubtitleOptions | undefined): SubtitleOptions {
  checkOptions('subtitle options', options, optionNames);
  const { maxLineWidth, maxLineCount, maxWordsPerLine, highlightWords } = options ?? {};
  const whole = { min: 1, max: 1000, integer: true };
  if (maxLineWidth !== undefined) checkNumber('maxLineWidth', maxLineWidth, whole);
  if (maxLineCount !== undefined) checkNumber('maxLineCount', maxLineCount, whole);
  if (maxWordsPerLine !== undefined) checkNumber('maxWordsPerLine', maxWordsPerLine, whole);
  if (highlightWords !== undefined) checkBoolean('highlightWords', highlightWords);
  if (maxLineCount !== undefined && maxLineWidth === undefined) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      'maxLineCount says nothing without maxLineWidth. Give both or neither.',
    );
  }
  return { ...options };
}

/** The options that were given, by name; `highlightWords: false` is none. */
export function givenOptions(options: SubtitleOptions): string[] {
  return optionNames.filter((name) => options[name] !== undefined && options[name] !== false);
}

/** Lays the words of segments out as subtitles, as the segments come. */
export class SubtitleLayout {
  readonly #options: SubtitleOptions;
  /** Characters of the line that is being filled. */
  #lineLength = 0;
  #lineCount = 1;
  /** Words of the subtitle that is being filled, blanks and line ends before them. */
  #subtitle: Word[] = [];
  /** When the last word started. */
  #last: number | undefined;

  constructor(options: SubtitleOptions) {
    this.#options = options;
  }

  /** Subtitles that are complete with these words of one segment. */
  add(words: readonly Word[]): Word[][] {
    const { maxLineWidth, maxLineCount, maxWordsPerLine = 1000 } = this.#options;
    const keepsSegments = maxLineWidth === undefined || maxLineCount === undefined;
    const done: Word[][] = [];
    for (const [i, word] of words.entries()) {
      const paused = !keepsSegments && word.start - (this.#last ?? word.start) > longPause;
      const breaks = i % maxWordsPerLine === 0 && this.#subtitle.length > 0 && keepsSegments;
      this.#last = word.start;
      const length = [...word.word].length;
      const hasRoom = this.#lineLength + length <= (maxLineWidth ?? 1000);
      if (this.#lineLength > 0 && hasRoom && !paused && !breaks) {
        this.#lineLength += length;
        this.#subtitle.push(word);
        continue;
      }
      let text = strip(word.word);
      const isFull =
        this.#subtitle.length > 0 &&
        maxLineCount !== undefined &&
        (paused || this.#lineCount >= maxLineCount);
      const continues = this.#lineLength > 0;
      this.#lineLength = [...text].length;
      if (isFull || breaks) {
        done.push(this.#subtitle);
        this.#subtitle = [];
        this.#lineCount = 1;
      } else if (continues) {
        this.#lineCount += 1;
        text = `\n${text}`;
      }
      this.#subtitle.push({ ...word, word: text });
    }
    return done;
  }

  /** The subtitle that was being filled. */
  end(): Word[][] {
    const rest = this.#subtitle;
    this.#subtitle = [];
    return rest.length > 0 ? [rest] : [];
  }
}

/** Cues of one subtitle: one, or one for each word and each gap between words. */
export function subtitleCues(
  words: readonly Word[],
  highlight: boolean,
  isSameTime: (a: number, b: number) => boolean,
): Cue[] {
  const [first] = words;
  const last = words.at(-1);
  if (first === undefined || last === undefined) return [];
  const text = words.map(({ word }) => word).join('');
  if (!highlight) return [{ start: first.start, end: last.end, text }];
  const cues: Cue[] = [];
  let done = first.start;
  for (const [i, { start, end }] of words.entries()) {
    if (!isSameTime(done, start)) cues.push({ start: done, end: start, text });
    cues.push({
      start,
      end,
      text: words.map(({ word }, j) => (j === i ? underline(word) : word)).join(''),
    });
    done = end;
  }
  return cues;
}

/** Leaves the blank or line end before a word out of the line. */
function underline(word: string): string {
  return word.replace(/^(\s*)(.*)$/u, '$1<u>$2</u>');
}

/** @throws ArgumentError INVALID_ARGUMENT where a segment has no words and the options need them. */
export function wordsOf(segment: Segment, options: SubtitleOptions): readonly Word[] | undefined {
  const given = givenOptions(options);
  if (segment.words !== undefined || given.length === 0) return segment.words;
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    `${given.join(', ')} needs words, which this transcript lacks. Transcribe with wordTimestamps: true.`,
  );
}
