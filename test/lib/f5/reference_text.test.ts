import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { referenceText, textForKeptAudio, type TimedWord } from '../../../lib/f5/reference_text.js';

it('ends the text of a reference as f5-tts does', () => {
  const cases: Record<string, string> = {
    abc: 'abc. ',
    'abc.': 'abc. ',
    'abc. ': 'abc. ',
    'abc。': 'abc。',
    'abc!': 'abc!. ',
    你好: '你好. ',
    'abc. \n': 'abc. \n. ',
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(referenceText(text), expected);
});

/** Words of so many seconds each, one behind the other; numbers are silence. */
function spoken(...parts: (string | number)[]): TimedWord[] {
  const words: TimedWord[] = [];
  let at = 0;
  for (const part of parts) {
    const length = typeof part === 'number' ? part : 0.5;
    if (typeof part === 'string') words.push({ word: part, start: at, end: at + length });
    at += length;
  }
  return words;
}

const text = 'One two three, four five. Six seven: eight nine ten!';
const words = spoken(...text.split(' '));
const kept = (...spans: [number, number][]) => ({
  duration: 5,
  kept: spans.map(([start, end]) => ({ start, end })),
});

describe('the text of what was kept, by the times of words', () => {
  it('is the whole where no sound was lost', () => {
    const all = { text, method: 'whole', warnings: [] };
    assert.deepEqual(textForKeptAudio(text, kept([0, 5]), words), all);
    assert.deepEqual(textForKeptAudio(text, kept([0, 4.95])), all);
    const silent = { ...kept([1, 3]), sounding: [{ start: 1.2, end: 2.9 }] };
    assert.deepEqual(textForKeptAudio(text, silent, words), all);
  });

  const cases: [string, [number, number][], string][] = [
    ['a beginning, ended as a sentence', [[0, 3.5]], 'One two three, four five. Six seven.'],
    ['a beginning that is a sentence', [[0, 2.5]], 'One two three, four five.'],
    ['a clause without its comma', [[0, 1.5]], 'One two three.'],
    ['a word of which half was kept', [[0, 1.8]], 'One two three, four.'],
    ['no word of which less was kept', [[0, 1.7]], 'One two three.'],
    ['an end', [[2.5, 5]], 'Six seven: eight nine ten!'],
    [
      'a beginning and an end',
      [
        [0, 1],
        [4, 5],
      ],
      'One two nine ten!',
    ],
  ];
  for (const [name, spans, expected] of cases) {
    it(`has ${name}`, () => {
      const { text: found, method, warnings } = textForKeptAudio(text, kept(...spans), words);
      assert.deepEqual([found, method, warnings], [expected, 'words', []]);
    });
  }

  it('is spelled as it was given, whatever was heard', () => {
    const given =
      'Dr. Müller’s 5 cats — "Tom & Co." — SLEEP, he says. And then they wake up again.';
    const heard = spoken(
      ...['Doctor', 'Mueller’s', 'five', 'cats,', 'Tom', 'and', 'Co.', 'sleep', 'he', 'says.'],
      ...['And', 'then', 'uh', 'they', 'woke', 'up', 'again.'],
    );
    const audio = { duration: 8.5, kept: [{ start: 0, end: 5 }] };
    const found = textForKeptAudio(given, audio, heard);
    assert.equal(found.text, 'Dr. Müller’s 5 cats — "Tom & Co." — SLEEP, he says.');
    assert.equal(found.method, 'words');
  });

  it('places words that were not heard between those that were', () => {
    const heard = words.filter(({ word }) => !['four', 'five.', 'Six'].includes(word));
    assert.equal(textForKeptAudio(text, kept([0, 2.5]), heard).text, 'One two three, four five.');
    assert.equal(textForKeptAudio(text, kept([0, 2]), heard).text, 'One two three, four.');
  });

  it('goes by characters in Chinese', () => {
    const given = '对，这就是我，万人敬仰的太乙真人。你好！';
    const heard = spoken(
      '对,',
      '这',
      '就是',
      '我',
      '万人',
      '敬',
      '仰',
      '的',
      '太',
      '以',
      '真人。',
      '你好',
    );
    const audio = (end: number) => ({ duration: 6, kept: [{ start: 0, end }] });
    const at = (end: number): string => textForKeptAudio(given, audio(end), heard).text;
    assert.equal(at(2), '对，这就是我。');
    assert.equal(at(1.3), '对，这就。');
    assert.equal(at(5.5), '对，这就是我，万人敬仰的太乙真人。');
  });

  it('goes by how characters are read, where that is given', () => {
    const given = '对，这就是我，万人敬仰。你好！';
    const heard = spoken('對', '這', '就', '是', '我', '萬', '人', '敬', '仰', '你', '好');
    const audio = { duration: 5.5, kept: [{ start: 0, end: 2.5 }] };
    const readings = new Map(
      [...'對对', ...'這这', ...'萬万'].map((c, i, all) => [c, all[i - (i % 2)] ?? c]),
    );
    const reading = (letters: string): string => readings.get(letters) ?? letters;
    const found = textForKeptAudio(given, audio, heard, reading);
    assert.deepEqual([found.text, found.method], ['对，这就是我。', 'words']);
  });

  it('does not take a first word behind the pause for one that was kept', () => {
    const heard = words.map((word) =>
      word.word === 'Six' ? { ...word, start: 2.4 } : word.start > 2.6 ? { ...word } : word,
    );
    const audio = {
      ...kept([0, 2.5]),
      sounding: [
        { start: 0, end: 2.5 },
        { start: 2.95, end: 5 },
      ],
    };
    assert.equal(textForKeptAudio(text, audio, heard).text, 'One two three, four five.');
  });
});

describe('the text of what was kept, where its beginning alone was heard', () => {
  it('goes on behind what was heard', () => {
    for (const more of [text, 'Another sentence that nobody has heard. '.repeat(20)]) {
      const audio = { ...kept([0, 2.5]), duration: 60 };
      const found = textForKeptAudio(`${text} ${more}`, audio, words);
      assert.deepEqual([found.text, found.method], ['One two three, four five.', 'words']);
    }
  });

  it('may end before what was heard does', () => {
    const audio = { ...kept([0, 4]), duration: 60 };
    const found = textForKeptAudio('One two three, four five.', audio, words);
    assert.deepEqual([found.text, found.method], ['One two three, four five.', 'words']);
  });
});

describe('the text of what was kept, without times', () => {
  it('is cut in proportion, at a sentence or clause near by, and says so', () => {
    const at = (end: number) => textForKeptAudio(text, kept([0, end]));
    for (const end of [2.2, 2.5, 2.7]) assert.equal(at(end).text, 'One two three, four five.');
    assert.equal(at(1.4).text, 'One two three.');
    assert.equal(at(4).text, 'One two three, four five. Six seven: eight.');
    assert.equal(at(4).method, 'proportion');
    assert.match(at(4).warnings.join(), /guess/);
  });

  it('counts sound alone', () => {
    const audio = { duration: 20, kept: [{ start: 0, end: 10 }] };
    const sounding = [
      { start: 0, end: 5 },
      { start: 15, end: 20 },
    ];
    assert.equal(textForKeptAudio(text, { ...audio, sounding }).text, 'One two three, four five.');
  });

  it('is taken where the words are another text, which is said', () => {
    const other = spoken('Nothing', 'of', 'this', 'is', 'what', 'it', 'should', 'be', 'at', 'all');
    const found = textForKeptAudio(text, kept([0, 2.5]), other);
    assert.equal(found.text, 'One two three, four five.');
    assert.equal(found.method, 'proportion');
    assert.match(found.warnings.join(), /not its text/);
    assert.match(textForKeptAudio(text, kept([0, 5]), other).warnings.join(), /not its text/);
  });

  it('is taken where the words leave no time for what was not heard', () => {
    const more = `Nothing of this was ever said at all. ${text}`;
    const found = textForKeptAudio(more, { ...kept([0, 4]), duration: 10 }, words);
    assert.equal(found.method, 'proportion');
  });

  it('is never empty where there is text', () => {
    assert.equal(
      textForKeptAudio('Supercalifragilistic', kept([0, 1])).text,
      'Supercalifragilistic',
    );
    assert.equal(textForKeptAudio('สวัสดีครับ', kept([0, 2.5])).text.length < 10, true);
    assert.equal(textForKeptAudio('', kept([0, 1])).text, '');
    assert.equal(textForKeptAudio('  ', kept([0, 1]), []).text.trim(), '');
    assert.equal(textForKeptAudio('...', kept([0, 1]), words).text, '...');
  });

  it('does not take long', () => {
    const long = Array.from({ length: 30_000 }, (_, i) => `word${i}`);
    const started = performance.now();
    const audio = { duration: 15_000, kept: [{ start: 0, end: 12 }] };
    textForKeptAudio(long.join(' '), audio, spoken(...long));
    textForKeptAudio(' '.repeat(50_000) + '-'.repeat(50_000), audio);
    textForKeptAudio('，'.repeat(50_000), audio);
    const took = performance.now() - started;
    assert.ok(took < 3000, `${took} ms`);
  });
});
