import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { markOf, syllableOf, withoutMarks } from '../../../lib/f5/pinyin_marks.js';

describe('marks of pinyin', () => {
  it('are characters of three bytes that mean their syllable', () => {
    for (const syllable of [
      'a1',
      'zhuang4',
      'n2',
      'ng2',
      'hng5',
      'm4',
      'er2',
      'lv3',
      'nve4',
      'xiong1',
      'de',
      'yuan2',
    ]) {
      const mark = markOf(syllable) ?? '';
      assert.equal(mark.length, 1, syllable);
      assert.equal(Buffer.byteLength(mark), 3);
      assert.equal(syllableOf(mark), syllable.replace('5', ''));
    }
    assert.equal(syllableOf(markOf('LÜ4') ?? ''), 'lv4');
    assert.equal(syllableOf(markOf('zi5') ?? ''), 'zi');
  });

  it('are all different', () => {
    const marks = new Set<string>();
    for (const initial of ['', 'b', 'zh', 'z', 'sh', 's', 'r', 'h']) {
      for (const final of ['a', 'ang', 'ng', 'er', 'uo']) {
        for (const tone of ['', '1', '4']) marks.add(markOf(initial + final + tone) ?? '');
      }
    }
    assert.equal(marks.size, 8 * 5 * 3);
  });

  it('exist for nothing else', () => {
    for (const text of ['', '1', 'chong', 'chong6', 'qxz1', 'hello', '重', 'a1a1', 'chong22']) {
      const expected = text === 'chong' ? 1 : undefined;
      assert.equal(markOf(text)?.length, expected, text);
    }
    assert.equal(syllableOf('a'), undefined);
    assert.equal(syllableOf(''), undefined);
    assert.equal(withoutMarks(`a${markOf('a1') ?? ''}b`), 'ab');
  });
});
