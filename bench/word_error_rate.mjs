// Word error rate of English: substitutions, insertions and deletions over the reference's words.

/** Spellings and contractions that are no errors of recognition. */
const SAME = new Map([
  ['5', 'five'],
  ['6', 'six'],
  ['gonna', 'going to'],
  ['harbouring', 'harboring'],
]);

/** Lower case, NFKC, without punctuation; apostrophes inside words are dropped, too. */
export function words(text) {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/['\u2019]/g, '')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
    .split(/\s+/)
    .flatMap((word) => (SAME.get(word) ?? word).split(' '))
    .filter((word) => word !== '');
}

export function wordErrorRate(reference, hypothesis) {
  const wanted = words(reference);
  const got = words(hypothesis);
  let row = Uint32Array.from({ length: got.length + 1 }, (_, j) => j);
  for (let i = 1; i <= wanted.length; i++) {
    const next = new Uint32Array(got.length + 1);
    next[0] = i;
    for (let j = 1; j <= got.length; j++) {
      const substituted = row[j - 1] + (wanted[i - 1] === got[j - 1] ? 0 : 1);
      next[j] = Math.min(substituted, row[j] + 1, next[j - 1] + 1);
    }
    row = next;
  }
  return row[got.length] / wanted.length;
}
