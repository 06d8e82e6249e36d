/** The reading of a word, as pypinyin's lazy_pinyin(style=TONE3, tone_sandhi=True) gives it. */
import { longestPhrase, type PinyinTable } from './pinyin_table.js';
import { applyToneSandhi } from './tone_sandhi.js';

/** Characters that pypinyin gives a reading, in the basic plane (constants.py, RE_HANS). */
const readable = /[\u3007\ue815-\ue864\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]/;

/**
 * A syllable for each character; what has no reading stands for itself.
 * @param word characters of the basic plane.
 */
export function pinyinOf(table: PinyinTable, word: string): string[] {
  const found: string[] = [];
  for (let at = 0; at < word.length;) {
    const { phrase, all } = longestPhrase(table, word, at);
    if (phrase < 0) {
      // pypinyin reads a rest that only begins a phrase character by character, whatever words it has.
      const end = all ? word.length : at + 1;
      for (; at < end; at++) found.push(...readAlone(table, word.charAt(at)));
      continue;
    }
    const [start = 0, end = start] = table.starts.subarray(phrase, phrase + 2);
    const syllables = Array.from(
      table.readings.subarray(start, end),
      (number) => table.syllables[number] ?? '',
    );
    found.push(...applyToneSandhi(word.slice(at, at + syllables.length), syllables));
    at += syllables.length;
  }
  return found;
}

function readAlone(table: PinyinTable, character: string): string[] {
  if (!readable.test(character)) return [character];
  const syllable = table.syllables[table.singles[character.charCodeAt(0)] ?? 0] || character;
  return applyToneSandhi(character, [syllable]);
}
