/** Words and their times, and what is made of words that look made up. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { splitWords } from '../../../lib/text/words.js';
import { judge, type TimedSegment } from '../../../lib/whisper/hallucination.js';
import type { Word } from '../../../lib/whisper/types.js';
import {
  assignWords,
  medianDuration,
  mergePunctuations,
  shortenAtSentenceEnds,
  timeWords,
  type WordTiming,
} from '../../../lib/whisper/words.js';

interface Units {
  merge_punctuations: { in: string[]; out: [string, number[]][] }[];
}
const file = join(packageRoot(), 'test', 'fixtures', 'whisper', 'units.json');
const units = JSON.parse(await readFile(file, 'utf8')) as Units;

const punctuation = { prepend: '"\'“¿([{-', append: '"\'.。,，!！?？:：”)]}、' };

/** Tokens that are bytes. */
const bytes = (text: string): number[] => [...Buffer.from(text)];
const decode = (tokens: readonly number[]): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(tokens));
const split = (tokens: readonly number[], language: string): string[] =>
  splitWords(tokens, language, decode).map(({ word }) => word);

describe('splitWords', () => {
  it('cuts at spaces and punctuation', () => {
    assert.deepEqual(split(bytes(' Don’t stop, now.'), 'en'), [
      ' Don’t',
      ' stop',
      ',',
      ' now',
      '.',
    ]);
    assert.deepEqual(split(bytes('no blank first'), 'en'), ['no', ' blank', ' first']);
    assert.deepEqual(split([], 'en'), []);
  });

  it('cuts languages without spaces at characters', () => {
    assert.deepEqual(split(bytes('水是、甜'), 'zh'), ['水', '是', '、', '甜']);
    assert.deepEqual(split(bytes('水是'), 'ko'), ['水是']);
    assert.deepEqual(split(bytes('ไทย'), 'th'), ['ไ', 'ท', 'ย']);
  });

  it('keeps the tokens of broken characters, and all others, in order', () => {
    for (const language of ['en', 'ja']) {
      const tokens = [...bytes(' a'), 0xe6, 0xb0, ...bytes('b🎵'), 0xff, ...bytes(' c')];
      const words = splitWords(tokens, language, decode);
      assert.deepEqual(
        words.flatMap(({ tokens: own }) => own),
        tokens,
      );
      assert.equal(words.map(({ word }) => word).join(''), decode(tokens));
    }
  });
});

function timing(word: string, start: number, end: number): WordTiming {
  return { word, tokens: [1], start, end, probability: 0.9 };
}

describe('mergePunctuations', () => {
  for (const { in: words, out } of units.merge_punctuations) {
    it(`joins ${JSON.stringify(words)} as the reference`, () => {
      const parts = words.map((word, i) => ({ word, tokens: [i] }));
      mergePunctuations(parts, punctuation);
      assert.deepEqual(
        parts.map(({ word, tokens }) => [word, tokens]),
        out,
      );
    });
  }
});

describe('word times', () => {
  it('are those of the first tokens, probabilities the mean of all', () => {
    const words = [
      { word: ' ab', tokens: [1, 2] },
      { word: ' c', tokens: [3] },
    ];
    const timed = timeWords(words, Int32Array.of(5, 7, 10, 25), Float32Array.of(0.5, 1, 0.25));
    assert.deepEqual(timed, [
      { word: ' ab', tokens: [1, 2], start: 0.1, end: 0.2, probability: 0.75 },
      { word: ' c', tokens: [3], start: 0.2, end: 0.5, probability: 0.25 },
    ]);
  });

  it('are bounded by the usual length, at most 0.7 s', () => {
    assert.equal(medianDuration([]), 0);
    assert.equal(medianDuration([timing('a', 1, 1)]), 0);
    assert.equal(
      medianDuration([timing('a', 0, 0.5), timing('b', 2, 2), timing('c', 3, 3.25)]),
      0.375,
    );
    assert.equal(medianDuration([timing('a', 0, 9)]), 0.7);
    const words = [timing(' a', 0, 3), timing('.', 3, 8), timing(' b', 8, 12)];
    shortenAtSentenceEnds(words, 0.5);
    assert.deepEqual(
      words.map(({ start, end }) => [start, end]),
      [
        [0, 3],
        [3, 3.5],
        [11.5, 12],
      ],
    );
  });

  it('become those of the segments', () => {
    const segments = [
      { start: 10, end: 12 },
      { start: 12, end: 14 },
      { start: 14, end: 14 },
    ];
    const words = [timing(' a', 0.3, 0.6), timing(' b.', 0.6, 1.1), timing('', 1.1, 1.2)];
    words.push(timing(' c', 2.2, 2.5));
    const around = { offset: 10, lastSpeech: 10, usual: 0.3 };
    const assigned = assignWords(segments, [3, 1, 0], words, around);
    assert.deepEqual(
      assigned.map((own) => own.map(({ word, start, end }) => [word, start, end])),
      [
        [
          [' a', 10.3, 10.6],
          [' b.', 10.6, 11.1],
        ],
        [[' c', 12.2, 12.5]],
        [],
      ],
    );
    assert.deepEqual(segments, [
      { start: 10.3, end: 11.1 },
      { start: 12.2, end: 12.5 },
      { start: 14, end: 14 },
    ]);
  });

  it('do not reach over the pause before them', () => {
    const segments = [{ start: 14, end: 16 }];
    const words = [timing(' a', 0, 5), timing(' b', 5, 5.2)];
    const around = { offset: 10, lastSpeech: 5, usual: 0.25 };
    const [own] = assignWords(segments, [2], words, around);
    assert.deepEqual(
      own?.map(({ start, end }) => [start, end]),
      [
        [14.5, 15],
        [15, 15.2],
      ],
    );
  });
});

const clear = (start: number, end: number): Word => ({ word: ' w', start, end, probability: 0.9 });
const odd = (start: number, end: number): Word => ({ word: ' w', start, end, probability: 0.01 });
const segment = (...words: Word[]): TimedSegment => ({
  start: words[0]?.start ?? 0,
  end: words.at(-1)?.end ?? 0,
  words,
});

describe('judge', () => {
  const layout = { seek: 1000, size: 3000, timestampBegin: 50, framesPerTimestamp: 2 };
  const around = { frames: 9000, lastSpeech: 9, threshold: 2 };

  it('keeps what sounds like speech', () => {
    const segments = [segment(clear(11, 11.3)), segment(clear(20, 20.4))];
    assert.deepEqual(judge(segments, layout, around), { keep: 2, next: undefined });
    assert.deepEqual(judge([], layout, around), { keep: 0, next: undefined });
    assert.deepEqual(judge([segment()], layout, around), { keep: 1, next: undefined });
  });

  it('skips the silence before a first segment that looks made up', () => {
    const verdict = judge([segment(odd(15, 15.3))], layout, around);
    assert.deepEqual(verdict, { keep: 'none', next: 1500 });
  });

  it('drops what looks made up between silences, and listens there again', () => {
    const segments = [segment(clear(11, 11.3)), segment(odd(15, 15.3)), segment(clear(20, 20.3))];
    assert.deepEqual(judge(segments, layout, around), { keep: 1, next: 1500 });
    // Where speech follows at once, it may be part of it.
    const close = [segment(clear(11, 11.3)), segment(odd(15, 15.3)), segment(clear(16, 16.3))];
    assert.deepEqual(judge(close, layout, around), { keep: 3, next: undefined });
  });

  it('is done where less than a silence is left', () => {
    const segments = [segment(clear(11, 11.3)), segment(odd(38.5, 39.5))];
    const verdict = { keep: 1, next: 4000 };
    assert.deepEqual(judge(segments, layout, { ...around, frames: 4000 }), verdict);
    assert.deepEqual(judge(segments, layout, around), { keep: 1, next: 3850 });
  });

  it('takes no punctuation for words', () => {
    const dots: Word[] = [{ ...odd(15, 15.3), word: '.' }, clear(15.3, 15.6)];
    assert.deepEqual(judge([segment(...dots)], layout, around), { keep: 1, next: undefined });
  });
});
