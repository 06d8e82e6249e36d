import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { roundHalfEven, strip } from '../../../lib/text/python.js';

describe('roundHalfEven', () => {
  it('rounds halves to the even neighbour', () => {
    const cases = [
      [0.5, 0],
      [1.5, 2],
      [2.5, 2],
      [-0.5, 0],
      [-1.5, -2],
      [0.4999999999999999, 0],
      [1234.5, 1234],
      [7, 7],
    ];
    for (const [value = 0, expected = 0] of cases) assert.equal(roundHalfEven(value) + 0, expected);
  });
});

describe('strip', () => {
  it('removes what Python takes for space, and no more', () => {
    assert.equal(strip(' \t\r\n a b \u3000\xa0\x85'), 'a b');
    assert.equal(strip('\x1c\x1d\x1e\x1f'), '');
    assert.equal(strip('\ufeffa\ufeff'), '\ufeffa\ufeff');
    assert.equal(strip('\u200ba\x00'), '\u200ba\x00');
    assert.equal(strip(''), '');
  });

  it('takes linear time on inner spaces', () => {
    const started = performance.now();
    assert.equal(strip(`a${' '.repeat(200_000)}b`).length, 200_002);
    assert.ok(performance.now() - started < 500);
  });
});
