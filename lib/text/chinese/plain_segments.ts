/**
 * What jieba does to text without Chinese characters, for which it needs no dictionary. Equal to
 * jieba-rs 0.9 and 0.10.3 (rjieba 0.2.1, @node-rs/jieba 2.0.3).
 */

/** CJK ideographs as jieba-rs knows them (jieba/src/lib.rs, is_cjk). */
const ideographs =
  /[\u{3400}-\u{4DBF}\u{4E00}-\u{9FFF}\u{F900}-\u{FAFF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2EBEF}\u{2F800}-\u{2FA1F}]/u;

/** Whether jieba's dictionary has a say in how a text is cut. */
export function hasIdeographs(text: string): boolean {
  return ideographs.test(text);
}

/** What may be within a word; a line's end of two characters is one piece, all else is single. */
const blocks = /[A-Za-z0-9+#&._%-]+|\r\n|[^]/gu;

/**
 * Within a block: the words of the dictionary that are ASCII alone, each of which is likelier than its
 * characters, then jieba's rule for letters and digits. Its dot is any character, as in both versions,
 * so that "COVID-19" stays whole.
 */
const pieces = /AT&T|[Cc]#|[Cc]\+\+/g;
const words = /[A-Za-z0-9]+(?:.[0-9]+)?%?|[^A-Za-z0-9]+/g;

/** Cuts a text without ideographs. */
export function cutPlain(text: string): string[] {
  const found: string[] = [];
  for (const [block] of text.matchAll(blocks)) {
    if (block.length === 1 || !/[A-Za-z0-9+#&._%-]/.test(block)) {
      found.push(block);
      continue;
    }
    let end = 0;
    for (const { 0: word, index } of block.matchAll(pieces)) {
      cutRun(block.slice(end, index), found);
      found.push(word);
      end = index + word.length;
    }
    cutRun(block.slice(end), found);
  }
  return found;
}

function cutRun(run: string, found: string[]): void {
  for (const [word] of run.matchAll(words)) found.push(word);
}
