/** A vocabulary for tests: the tokens of pinyin cases at the ids that they have there. */
export interface TokenIds {
  tokens: readonly string[];
  ids: readonly number[];
}

/** The text of a vocab.txt; lines that no case tells have names of their own. */
export function vocabularyOf(cases: readonly TokenIds[], newline = '\n'): string {
  const lines: string[] = [' '];
  for (const { tokens, ids } of cases) {
    for (const [i, token] of tokens.entries()) {
      const id = ids[i] ?? 0;
      // 0 is what all unknown tokens have.
      if (id > 0) lines[id] = token;
    }
  }
  return Array.from(lines, (line, id) => (line ?? `unused-${id}`) + newline).join('');
}
