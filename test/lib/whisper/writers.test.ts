import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import type { Segment, Transcript } from '../../../lib/whisper/types.js';
import {
  formatTimestamp,
  formatTranscript,
  transcriptFormats,
  transcriptWriter,
  type TranscriptFormat,
} from '../../../lib/whisper/writers.js';

interface Units {
  format_timestamp: { s: number; h: boolean; m: '.' | ','; out: string }[];
  writers: { fmt: string; out: string }[];
  writers_input: { text: string; segments: { start: number; end: number; text: string }[] };
}

const file = join(packageRoot(), 'test', 'fixtures', 'whisper', 'units.json');
const units = JSON.parse(await readFile(file, 'utf8')) as Units;

function transcript(pieces: { start: number; end: number; text: string }[]): Transcript {
  const segments = pieces.map(({ start, end, text }, id): Segment => ({
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
  const whole = transcript(units.writers_input.segments);
  for (const { fmt, out } of units.writers) {
    const format = (fmt === 'txt' ? 'text' : fmt) as TranscriptFormat;
    it(`writes ${format} as the reference`, () => {
      assert.equal(formatTranscript(whole, format), out);
    });
  }

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
      for (const segment of whole.segments) text += writer.segment(segment);
      assert.equal(text + writer.end(whole), formatTranscript(whole, format));
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
