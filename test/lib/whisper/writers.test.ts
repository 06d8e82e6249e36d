import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import type { SubtitleOptions } from '../../../lib/whisper/subtitles.js';
import type { Segment, Transcript, Word } from '../../../lib/whisper/types.js';
import {
  formatTimestamp,
  formatTranscript,
  transcriptFormats,
  transcriptWriter,
  type TranscriptFormat,
} from '../../../lib/whisper/writers.js';

interface Units {
  format_timestamp: { s: number; h: boolean; m: '.' | ','; out: string }[];
  writers: { fmt: string; options: Record<string, unknown>; words: boolean; out: string }[];
  writers_input: {
    text: string;
    segments: { start: number; end: number; text: string; words: Word[] }[];
  };
}

const file = join(packageRoot(), 'test', 'fixtures', 'whisper', 'units.json');
const units = JSON.parse(await readFile(file, 'utf8')) as Units;

function transcript(
  pieces: { start: number; end: number; text: string; words?: Word[] }[],
): Transcript {
  const segments = pieces.map(({ words, start, end, text }, id): Segment => ({
    ...(words === undefined ? {} : { words }),
    ...{ id, seek: 0, start, end, text, tokens: [1, 2], temperature: 0 },
    ...{ avgLogProb: -0.2, compressionRatio: 1.1, noSpeechProb: 0.01 },
  }));
  const text = pieces.map((piece) => piece.text).join('');
  return { text, segments, language: 'en', duration: 12 };
}

describe('formatTimestamp', () => {
  for (const { s, h, m, out } of units.format_timestamp) {
    it(`writes ${s} s as ${out}`, () => {
      assert.equal(formatTimestamp(s, h, m), out);
    });
  }
});

describe('formatTranscript', () => {
  const { segments } = units.writers_input;
  const whole = transcript(segments.map(({ start, end, text }) => ({ start, end, text })));
  const timed = transcript(segments);
  for (const { fmt, options, words, out } of units.writers) {
    const format = (fmt === 'txt' ? 'text' : fmt) as TranscriptFormat;
    const ours: SubtitleOptions = Object.fromEntries(
      Object.entries(options).map(([name, value]) => [
        name.replace(/_./g, (mark) => mark.charAt(1).toUpperCase()),
        value,
      ]),
    );
    const kind = `${words ? 'words' : 'segments'} ${JSON.stringify(ours)}`;
    it(`writes ${format} of ${kind} as the reference`, () => {
      assert.equal(formatTranscript(words ? timed : whole, format, ours), out);
    });
  }

  it('starts a subtitle anew after a pause, where segments do not count', () => {
    const word = (text: string, start: number): Word => ({
      ...{ word: text, start, end: start + 0.5, probability: 1 },
    });
    const spoken = transcript([
      { start: 0, end: 2, text: ' a b', words: [word(' a', 0), word(' b', 1)] },
      { start: 2, end: 9, text: ' c d', words: [word(' c', 2), word(' d', 8)] },
    ]);
    const text = formatTranscript(spoken, 'srt', { maxLineWidth: 20, maxLineCount: 2 });
    assert.deepEqual(
      text.split('\n\n').map((cue) => cue.split('\n')[2]),
      ['a b c', 'd', undefined],
    );
  });

  it('gives words to JSON', () => {
    const json = JSON.parse(formatTranscript(timed, 'json')) as { segments: { words: Word[] }[] };
    assert.deepEqual(json.segments[0]?.words[0], {
      ...{ word: ' Hello', start: 0.3, end: 0.61, probability: 0.9 },
    });
  });

  it('refuses layouts that it has no words for, or no subtitles', () => {
    const refused: [() => unknown, RegExp][] = [
      [() => formatTranscript(whole, 'srt', { highlightWords: true }), /wordTimestamps: true/],
      [
        () => formatTranscript(timed, 'tsv', { maxLineWidth: 9 }),
        /maxLineWidth is for srt and vtt/,
      ],
      [() => transcriptWriter('srt', { maxLineCount: 2 }), /without maxLineWidth/],
      [() => transcriptWriter('srt', { maxLineWidth: 0 }), /between 1 and 1000 for maxLineWidth/],
      [() => transcriptWriter('srt', { width: 3 } as SubtitleOptions), /Unknown option "width"/],
    ];
    for (const [run, message] of refused) {
      assert.throws(run, { code: 'INVALID_ARGUMENT', message });
    }
    assert.equal(
      formatTranscript(whole, 'srt', { highlightWords: false }),
      formatTranscript(whole, 'srt'),
    );
  });

  it("writes JSON with the reference's keys", () => {
    const json = JSON.parse(formatTranscript(whole, 'json')) as Record<string, unknown>;
    assert.deepEqual(Object.keys(json), ['text', 'segments', 'language']);
    const [first] = json['segments'] as Record<string, unknown>[];
    assert.deepEqual(first, {
      ...{
        id: 0,
        seek: 0,
        start: 0.3,
        end: 3.57,
        text: ' Hello there, this is a longer sentence.',
      },
      ...{ tokens: [1, 2], temperature: 0, avg_logprob: -0.2 },
      ...{ compression_ratio: 1.1, no_speech_prob: 0.01 },
    });
  });

  it('keeps arrows, tabs and line ends of a text from breaking the form', () => {
    const odd = transcript([{ start: 0, end: 1, text: ' a --> b\tc ' }]);
    assert.match(formatTranscript(odd, 'vtt'), /\na -> b\tc\n/);
    assert.match(formatTranscript(odd, 'tsv'), /0\t1000\ta --> b c\n/);
  });

  it('writes a transcript without segments', () => {
    const nothing = transcript([]);
    assert.equal(formatTranscript(nothing, 'srt'), '');
    assert.equal(formatTranscript(nothing, 'vtt'), 'WEBVTT\n\n');
    assert.equal(formatTranscript(nothing, 'text'), '');
  });

  it('writes segment by segment what it writes at once', () => {
    for (const format of transcriptFormats) {
      const writer = transcriptWriter(format);
      let text = writer.begin();
      for (const segment of timed.segments) text += writer.segment(segment);
      assert.equal(text + writer.end(timed), formatTranscript(timed, format));
    }
  });

  it('refuses other formats', () => {
    assert.throws(() => formatTranscript(whole, 'doc' as TranscriptFormat), {
      code: 'INVALID_ARGUMENT',
      message: /text, srt, vtt, tsv, json/,
    });
    assert.throws(() => transcriptWriter('constructor' as TranscriptFormat), {
      code: 'INVALID_ARGUMENT',
    });
  });
});
