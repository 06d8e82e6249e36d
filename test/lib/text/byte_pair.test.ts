/** Byte pair encoding on a vocabulary small enough to follow by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeBytePairs } from '../../../lib/text/byte_pair.js';
import {
  buildTokenTable,
  findToken,
  tokenBytes,
  type Pieces,
} from '../../../lib/text/token_table.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** "Ġ" is the space of the byte-level alphabet. */
const pieces = ['a', 'b', 'c', 'Ġ', 'ab', 'bc', 'abc', 'aa', 'Ġa', 'x', '', "'", 's', "'s", 'stop'];
const id = (piece: string): number => pieces.indexOf(piece);

/** As they would stand in a file; undefined for ids that have no token. */
function piecesOf(words: readonly (string | undefined)[]): Pieces {
  const encoded = Array.from(words, (word = '') => utf8(word));
  const ends = Uint32Array.from(
    encoded,
    (
      (at) => (word: Uint8Array) =>
        (at += word.length)
    )(0),
  );
  const starts = ends.map((end, i) => end - (encoded[i]?.length ?? 0));
  return { text: Uint8Array.from(encoded.flatMap((word) => [...word])), starts, ends };
}

const table = buildTokenTable(piecesOf(pieces), (token) => token !== id('stop'));
const encode = (text: string): string[] =>
  encodeBytePairs(table, text).map((token) => pieces[token] ?? '?');

describe('byte pairs', () => {
  it('join at the lowest id first, the leftmost of equals', () => {
    // ab has a lower id than bc; aa a higher one than ab.
    assert.deepEqual(encode('abcb'), ['abc', 'b']);
    assert.deepEqual(encode('aab'), ['a', 'ab']);
    assert.deepEqual(encode('aaa'), ['aa', 'a']);
    assert.deepEqual(encode('aaaaabcbc'), ['aa', 'aa', 'abc', 'bc']);
  });

  it('do not join over the edges of the pattern', () => {
    assert.deepEqual(encode('ab ac  a'), ['ab', 'Ġa', 'c', 'Ġ', 'Ġa']);
    assert.deepEqual(encode("a's"), ['a', "'s"]);
  });

  it('leave out what the vocabulary cannot spell', () => {
    assert.deepEqual(encode('aéb'), ['a', 'b']);
    assert.deepEqual(encode(''), []);
  });

  it('never name a token that is not to be found', () => {
    assert.deepEqual(encode('stop'), ['s']);
  });
});

describe('a table of tokens', () => {
  it('finds each by its bytes, the first of equals, and none that is absent', () => {
    const words = Array.from({ length: 3000 }, (_, i) => `w${i}`);
    const many = buildTokenTable(piecesOf([...words, 'w7', 'naïve']), () => true);
    for (const [i, word] of words.entries()) {
      assert.equal(findToken(many, utf8(word), 0, word.length), i);
      assert.deepEqual(tokenBytes(many, i), utf8(word));
    }
    assert.equal(findToken(many, utf8('w3000'), 0, 5), -1);
    assert.equal(findToken(many, utf8('--w12--'), 2, 5), 12);
    assert.equal(findToken(many, utf8(''), 0, 0), -1);
  });

  it('holds the UTF-8 of what is not in the byte-level alphabet, and skips missing ids', () => {
    const sparse: string[] = [];
    sparse[5] = '日本';
    const few = buildTokenTable(piecesOf(sparse), () => true);
    assert.deepEqual(tokenBytes(few, 5), utf8('日本'));
    assert.equal(findToken(few, utf8('日本'), 0, 6), 5);
    for (const missing of [0, 4, 6, 1e9, -1]) assert.equal(tokenBytes(few, missing).length, 0);
  });
});
