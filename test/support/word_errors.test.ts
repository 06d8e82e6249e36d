import assert from 'node:assert/strict';
import { it } from 'node:test';
import { edits, wordErrorRate, words } from './word_errors.js';

it('folds case, punctuation and spellings', () => {
  assert.deepEqual(words(" It's FIVE—well, 5…\n"), ['its', 'five', 'well', 'five']);
  assert.deepEqual(words('I’m gonna be harbouring ﬁsh, well-known'), [
    ...['im', 'going', 'to', 'be', 'harboring', 'fish', 'well', 'known'],
  ]);
  assert.deepEqual(words(' … '), []);
});

it('counts substitutions, insertions and deletions', () => {
  assert.equal(edits([...'kitten'], [...'sitting']), 3);
  assert.equal(edits([], ['a', 'b']), 2);
  assert.equal(edits(['a', 'b'], []), 2);
  assert.equal(
    wordErrorRate([
      ['a b c d', 'A, b c'],
      ['e f g h', 'e x g h i'],
    ]),
    3 / 8,
  );
});
