/**
 * Transcripts as text, subtitles, tables and JSON, in openai-whisper's forms (whisper/utils.py), at
 * once or segment by segment.
 */
import { invalidArgument } from '../errors.js';
import { roundHalfEven, strip } from '../text/python.js';
import type { Segment, Transcript } from './types.js';

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

/** Start, end and text of a cue. "-->" would end the cue's head early, so text has "->". */
function cue(segment: Segment, alwaysHours: boolean, mark: '.' | ','): string {
  const start = formatTimestamp(segment.start, alwaysHours, mark);
  const end = formatTimestamp(segment.end, alwaysHours, mark);
  return `${start} --> ${end}\n${strip(segment.text).replaceAll('-->', '->')}\n\n`;
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
    })),
    language: transcript.language,
  };
}

const nothing = (): string => '';

const writers: Record<TranscriptFormat, () => TranscriptWriter> = {
  text: () => ({
    begin: nothing,
    segment: ({ text }) => `${strip(text)}\n`,
    end: nothing,
  }),
  srt: () => {
    let number = 0;
    return {
      begin: nothing,
      segment: (segment) => `${++number}\n${cue(segment, true, ',')}`,
      end: nothing,
    };
  },
  vtt: () => ({
    begin: () => 'WEBVTT\n\n',
    segment: (segment) => cue(segment, false, '.'),
    end: nothing,
  }),
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

/** @throws ArgumentError INVALID_ARGUMENT for an unknown format. */
export function transcriptWriter(format: TranscriptFormat): TranscriptWriter {
  if (!transcriptFormats.includes(format)) {
    throw invalidArgument('format', `one of ${transcriptFormats.join(', ')}`, format);
  }
  return writers[format]();
}

/**
 * A whole transcript in a format: 'text' (a line per segment), 'srt', 'vtt', 'tsv' (milliseconds),
 * or 'json' with openai-whisper's keys.
 * @throws ArgumentError INVALID_ARGUMENT for an unknown format.
 */
export function formatTranscript(transcript: Transcript, format: TranscriptFormat): string {
  const writer = transcriptWriter(format);
  const parts = transcript.segments.map((segment) => writer.segment(segment));
  return [writer.begin(), ...parts, writer.end(transcript)].join('');
}
