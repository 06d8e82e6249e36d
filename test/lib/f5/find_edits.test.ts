import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { editsBetween, findEdits } from '../../../lib/f5/find_edits.js';
import type { TimedWord } from '../../../lib/f5/reference_text.js';

/** Words of a tenth of a second for each letter and the blank before it, from `start` on. */
function spoken(text: string, start = 1): TimedWord[] {
  let at = start;
  return text.split(' ').map((word) => {
    const from = at;
    at += 0.1 * (word.length + 1);
    return { word: ` ${word}`, start: from, end: at };
  });
}

const words = spoken('It was raining all day long. Today the sun is shining.');
// 1 It 1.3 was 1.7 raining 2.5 all 2.9 day 3.3 long. 3.9 Today 4.5 the 4.9 sun 5.3 is 5.6 shining. 6.5
const said = words
  .map(({ word }) => word)
  .join('')
  .trim();

describe('the edits between what is heard and a text', () => {
  it('are the words that differ, with some room around them, at the pace of the recording', () => {
    const rows: [string, string, object[]][] = [
      [
        'another word',
        said.replace('raining', 'snowing'),
        [{ start: 1.62, end: 2.58, duration: 0.96 }],
      ],
      [
        'a longer one',
        said.replace('sun', 'weather'),
        [{ start: 4.82, end: 5.38, duration: 0.96 }],
      ],
      [
        'more words',
        said.replace('Today', 'Today, Anna,'),
        [{ start: 4.42, end: 4.58, duration: 0.76 }],
      ],
      ['fewer', said.replace(' all day long', ''), [{ start: 2.42, end: 3.98, duration: 0.16 }]],
      ['at the beginning', `So ${said}`, [{ start: 0.92, end: 1.08, duration: 0.46 }]],
      ['at the end', `${said} Good.`, [{ start: 6.42, end: 6.5, duration: 0.58 }]],
      [
        'in two places',
        said.replace('was', 'is').replace('sun', 'moon'),
        [
          { start: 1.22, end: 1.78, duration: 0.46 },
          { start: 4.82, end: 5.38, duration: 0.66 },
        ],
      ],
      [
        'a word apart',
        said.replace('Today the sun is', 'Now the sun was'),
        [
          { start: 3.82, end: 4.58, duration: 0.56 },
          { start: 5.22, end: 5.68, duration: 0.56 },
        ],
      ],
    ];
    for (const [what, text, expected] of rows) {
      const edits = editsBetween(text, words);
      assert.equal(edits.length, expected.length, `${what}: ${JSON.stringify(edits)}`);
      for (const [i, edit] of edits.entries()) {
        for (const [key, value] of Object.entries(expected[i] ?? {})) {
          const got = edit[key as keyof typeof edit] ?? NaN;
          assert.ok(Math.abs(got - Number(value)) < 0.1, `${what}: ${JSON.stringify(edits)}`);
        }
      }
    }
  });

  it('that leave hardly anything between them are one', () => {
    const short = spoken('We saw a big dog and the cat of the house near by.');
    const heard = short.map(({ word }) => word).join('');
    const [edit, ...others] = editsBetween(heard.replace('saw a big', 'met a small'), short);
    assert.deepEqual(others, []);
    assert.ok(edit !== undefined && edit.start < 1.3 && edit.end > 2.3);
  });

  it('take the given text for what was misheard', () => {
    const misheard = words.map((word) => ({
      ...word,
      word: word.word.replace('raining', 'reigning'),
    }));
    const text = said.replace('sun', 'moon');
    assert.equal(editsBetween(text, misheard).length, 2);
    assert.deepEqual(editsBetween(text, misheard, said), editsBetween(text, words));
  });

  it('are of characters in Chinese', () => {
    const chinese = [...'今天天气很好我们出去玩'].map((word, i) => ({
      word,
      start: i / 4,
      end: (i + 1) / 4,
    }));
    const [edit, ...others] = editsBetween('今天天气很坏，我们出去玩。', chinese);
    assert.deepEqual(others, []);
    assert.deepEqual([edit?.start, edit?.end], [1.17, 1.58]);
  });

  it('are refused where there are none, or the text is another', async () => {
    const wrong = { code: 'INVALID_ARGUMENT' };
    for (const same of [said, said.toUpperCase(), said.replaceAll('.', '!')]) {
      assert.throws(() => editsBetween(same, words), { ...wrong, message: /nothing to edit/ });
    }
    const other = 'Completely different words of another story.';
    assert.throws(() => editsBetween(other, words), { ...wrong, message: /little in common/ });
    assert.throws(() => editsBetween(said, words, other), {
      ...wrong,
      message: /little in common/,
    });
    const transcriber = () => Promise.resolve({ text: '', words: [] });
    await assert.rejects(findEdits('', { text: said, transcriber }), { code: 'AUDIO_INVALID' });
    const none = { text: said } as never;
    await assert.rejects(findEdits('', none), { ...wrong, message: /transcriber/ });
  });
});
