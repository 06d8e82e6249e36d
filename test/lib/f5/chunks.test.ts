import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chunkBytes, chunkText } from '../../../lib/f5/chunks.js';
import { randomNumbers } from '../text/chinese/fixtures.js';

const bytes = (text: string): number => Buffer.byteLength(text);
const visible = (text: string): string => text.replace(/\s/g, '');

describe('chunkText', () => {
  it('joins sentences up to the limit', () => {
    const text = 'One two. Three four! Five; six, seven. 一二三。四五六，七！';
    assert.deepEqual(chunkText(text, { maxBytes: 30 }), [
      ...['One two. Three four! Five;', 'six, seven. 一二三。', '四五六，七！'],
    ]);
    assert.deepEqual(chunkText(text, { maxBytes: 1000 }), [text]);
    assert.deepEqual(chunkText('', { maxBytes: 30 }), []);
    assert.deepEqual(chunkText(' \n ', { maxBytes: 30 }), []);
  });

  it('cuts a sentence that is too long at the best places', () => {
    const cases: [string, number, string[]][] = [
      ['one two three four five six', 20, ['one two three', 'four five six']],
      ['苹果、香蕉、葡萄和西瓜', 21, ['苹果、香蕉、', '葡萄和西瓜']],
      ['这是一个没有标点符号的句子', 21, ['这是一个没有标', '点符号的句子']],
      ['使用TensorFlow训练模型', 20, ['使用TensorFlow', '训练模型']],
      ['a'.repeat(50), 20, ['a'.repeat(17), 'a'.repeat(17), 'a'.repeat(16)]],
    ];
    for (const [text, maxBytes, chunks] of cases) {
      assert.deepEqual(chunkText(text, { maxBytes }), chunks);
      assert.deepEqual(chunkText(text, { maxBytes, splitLong: false }), [text]);
    }
  });

  it('keeps the limit and all that is said, whatever the text', () => {
    const random = randomNumbers(3);
    const pieces = [
      'word',
      'a',
      ' ',
      '\n',
      '. ',
      ', ',
      '。',
      '，',
      '中文',
      '句子',
      '😀',
      'é',
      'éé',
      '、',
    ];
    for (let i = 0; i < 3000; i++) {
      const text = Array.from({ length: random(60) }, () => pieces[random(pieces.length)]).join('');
      const maxBytes = 20 + random(60);
      const chunks = chunkText(text, { maxBytes, firstBytes: 20 });
      assert.ok(chunks.every((chunk) => bytes(chunk) <= maxBytes && chunk.trim() !== ''));
      assert.equal(visible(chunks.join('')), visible(text));
    }
  });

  it('makes the first chunk small where sentences allow it', () => {
    const text = 'Short one. Then a second. And a third one, which is longer.';
    const [first, second] = chunkText(text, { maxBytes: 60, firstBytes: 15 });
    assert.equal(first, 'Short one.');
    assert.equal(second, 'Then a second. And a third one, which is longer.');
    // One sentence stays whole.
    assert.deepEqual(chunkText('A sentence of some length.', { maxBytes: 60, firstBytes: 10 }), [
      'A sentence of some length.',
    ]);
  });

  it('takes linear time', () => {
    for (const unit of ['word ', '字', 'a', '. ', ' ', '、']) {
      const start = performance.now();
      chunkText(`${unit.repeat(100_000)}x`, { maxBytes: 135 });
      assert.ok(performance.now() - start < 5000, unit);
    }
  });
});

describe('chunkBytes', () => {
  it('is what fits beside the reference, and never next to nothing', () => {
    assert.equal(chunkBytes(100, 10), 120);
    assert.equal(chunkBytes(100, 10, 0.5), 60);
    assert.equal(chunkBytes(47, 5.5), 141);
    for (const [size, seconds] of [
      [100, 25],
      [2, 10],
      [0, 0],
      [5, 0],
    ]) {
      assert.equal(chunkBytes(size ?? 0, seconds ?? 0), 20);
    }
  });
});
