/** Word error rate of English: substitutions, insertions and deletions over the reference's words. */

/** Spellings and contractions that are no errors of recognition. */
const same = new Map([
  ['5', 'five'],
  ['6', 'six'],
  ['gonna', 'going to'],
  ['harbouring', 'harboring'],
]);

/** Lower case, NFKC, without punctuation; apostrophes inside words are dropped, too. */
export function words(text: string): string[] {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/['\u2019]/g, '')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
    .split(' ')
    .flatMap((word) => (same.get(word) ?? word).split(' '))
    .filter((word) => word !== '');
}

/** Substitutions, insertions and deletions between two lists of words, or of characters. */
export function edits(reference: readonly string[], heard: readonly string[]): number {
  let row = Array.from({ length: heard.length + 1 }, (_, j) => j);
  for (const [i, word] of reference.entries()) {
    const next = [i + 1];
    for (const [j, other] of heard.entries()) {
      const substituted = (row[j] ?? 0) + (word === other ? 0 : 1);
      next.push(Math.min(substituted, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[heard.length] ?? 0;
}

/** Over all the texts together, as pairs of what was said and what was heard. */
export function wordErrorRate(texts: readonly (readonly [string, string])[]): number {
  let [errors, total] = [0, 0];
  for (const [reference, heard] of texts) {
    const wanted = words(reference);
    errors += edits(wanted, words(heard));
    total += wanted.length;
  }
  return errors / total;
}
