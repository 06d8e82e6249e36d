/**
 * Transcripts as text, subtitles, tables and JSON, in openai-whisper's forms (whisper/utils.py), at
 * once or segment by segment.
 */
import { ArgumentError, invalidArgument } from '../errors.js';
import { roundHalfEven, strip } from '../text/python.js';
import {
  SubtitleLayout,
  checkSubtitleOptions,
  givenOptions,
  subtitleCues,
  wordsOf,
  type Cue,
  type SubtitleOptions,
} from './subtitles.js';
import type { Segment, Transcript, Word } from './types.js';

export const transcriptFormats = ['text', 'srt', 'vtt', 'tsv', 'json'] as const;
export type TranscriptFormat = (typeof transcriptFormats)[number];

/**
 * Writes one transcript: what its methods return, in order, is the whole. A writer numbers what it
 * writes, so each transcript takes a new one.
 */
export interface TranscriptWriter {
  /** What comes before the first segment. */
  begin(): string;
  segment(segment: Segment): string;
  /** What comes after the last segment. */
  end(transcript: Transcript): string;
}

function milliseconds(seconds: number): number {
  return roundHalfEven(seconds * 1000);
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

/** "01:02:03.456"; without `alwaysHours`, the hours only where there are some. */
export function formatTimestamp(seconds: number, alwaysHours: boolean, mark: '.' | ','): string {
  const total = milliseconds(seconds);
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor(total / 60_000) % 60;
  const whole = Math.floor(total / 1000) % 60;
  const prefix = alwaysHours || hours > 0 ? `${padded(hours, 2)}:` : '';
  return `${prefix}${padded(minutes, 2)}:${padded(whole, 2)}${mark}${padded(total % 1000, 3)}`;
}

function cue({ start, end, text }: Cue, alwaysHours: boolean, mark: '.' | ','): string {
  const from = formatTimestamp(start, alwaysHours, mark);
  const to = formatTimestamp(end, alwaysHours, mark);
  return `${from} --> ${to}\n${text}\n\n`;
}

/** Cues of segments as they come: of their words, where they have words. */
class SubtitleWriter {
  readonly #options: SubtitleOptions;
  readonly #layout: SubtitleLayout;

  constructor(options: SubtitleOptions) {
    this.#options = options;
    this.#layout = new SubtitleLayout(options);
  }

  segment(segment: Segment): Cue[] {
    const words = wordsOf(segment, this.#options);
    if (words !== undefined) return this.#cues(this.#layout.add(words));
    const { start, end, text } = segment;
    // "-->" would end the cue's head early. (The reference leaves it in where there are words.)
    return [{ start, end, text: strip(text).replaceAll('-->', '->') }];
  }

  end(): Cue[] {
    return this.#cues(this.#layout.end());
  }

  #cues(subtitles: Word[][]): Cue[] {
    const highlight = this.#options.highlightWords === true;
    const isSameTime = (a: number, b: number): boolean => milliseconds(a) === milliseconds(b);
    return subtitles.flatMap((words) => subtitleCues(words, highlight, isSameTime));
  }
}

/** The keys of openai-whisper's JSON; programs that read its files read these. */
function plain(transcript: Transcript): object {
  return {
    text: transcript.text,
    segments: transcript.segments.map((segment) => ({
      id: segment.id,
      seek: segment.seek,
      start: segment.start,
      end: segment.end,
      text: segment.text,
      tokens: segment.tokens,
      temperature: segment.temperature,
      avg_logprob: segment.avgLogProb,
      compression_ratio: segment.compressionRatio,
      no_speech_prob: segment.noSpeechProb,
      ...(segment.words === undefined ? {} : { words: segment.words }),
    })),
    language: transcript.language,
  };
}

const nothing = (): string => '';

type WriterMaker = (options: SubtitleOptions) => TranscriptWriter;

const writers: Record<TranscriptFormat, WriterMaker> = {
  text: () => ({
    begin: nothing,
    segment: ({ text }) => `${strip(text)}\n`,
    end: nothing,
  }),
  srt: (options) => {
    let number = 0;
    const subtitles = new SubtitleWriter(options);
    const write = (cues: Cue[]): string =>
      cues.map((one) => `${++number}\n${cue(one, true, ',')}`).join('');
    return {
      begin: nothing,
      segment: (segment) => write(subtitles.segment(segment)),
      end: () => write(subtitles.end()),
    };
  },
  vtt: (options) => {
    const subtitles = new SubtitleWriter(options);
    const write = (cues: Cue[]): string => cues.map((one) => cue(one, false, '.')).join('');
    return {
      begin: () => 'WEBVTT\n\n',
      segment: (segment) => write(subtitles.segment(segment)),
      end: () => write(subtitles.end()),
    };
  },
  tsv: () => ({
    begin: () => 'start\tend\ttext\n',
    segment: ({ start, end, text }) =>
      `${milliseconds(start)}\t${milliseconds(end)}\t${strip(text).replaceAll('\t', ' ')}\n`,
    end: nothing,
  }),
  json: () => ({
    begin: nothing,
    segment: nothing,
    end: (transcript) => `${JSON.stringify(plain(transcript))}\n`,
  }),
};

/**
 * @param options of 'srt' and 'vtt', for transcripts with words.
 * @throws ArgumentError INVALID_ARGUMENT for an unknown format and wrong options; its writer, for
 * segments without the words that the options need.
 */
export function transcriptWriter(
  format: TranscriptFormat,
  options?: SubtitleOptions,
): TranscriptWriter {
  if (!transcriptFormats.includes(format)) {
    throw invalidArgument('format', `one of ${transcriptFormats.join(', ')}`, format);
  }
  const checked = checkSubtitleOptions(options);
  const given = givenOptions(checked);
  if (given.length > 0 && format !== 'srt' && format !== 'vtt') {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `${given.join(', ')} is for srt and vtt, not for ${format}.`,
    );
  }
  return writers[format](checked);
}

/**
 * A whole transcript in a format: 'text' (a line per segment), 'srt', 'vtt', 'tsv' (milliseconds),
 * or 'json' with openai-whisper's keys.
 * @param options of 'srt' and 'vtt', for transcripts with words.
 * @throws ArgumentError INVALID_ARGUMENT as `transcriptWriter` and its writer.
 */
export function formatTranscript(
  transcript: Transcript,
  format: TranscriptFormat,
  options?: SubtitleOptions,
): string {
  const writer = transcriptWriter(format, options);
  const parts = transcript.segments.map((segment) => writer.segment(segment));
  return [writer.begin(), ...parts, writer.end(transcript)].join('');
}
