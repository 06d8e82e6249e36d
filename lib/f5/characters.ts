/**
 * What F5-TTS's models read: characters, with a syllable of pinyin in the place of each Chinese one
 * (f5_tts/model/utils.py, convert_char_to_pinyin).
 */
import { syllableOf } from './pinyin_marks.js';

/** The reading of a word, a syllable for each of its characters. */
export type Reading = (word: string) => readonly string[];

const replaced: Readonly<Record<string, string>> = {
  ';': ',',
  '“': '"',
  '”': '"',
  '‘': "'",
  '’': "'",
};

/** What the reference writes in another way, before it cuts a text into words. */
export function plainPunctuation(text: string): string {
  return text.replace(/[;“”‘’]/g, (character) => replaced[character] ?? character);
}

/** The range that the reference takes for Chinese: such a character is set off by a space. */
const chinese = /[\u3100-\u9fff]/;

/** Whether a dictionary has a say in how a text is read. */
export function mayHaveReading(text: string): boolean {
  return /[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]/.test(text);
}

/** @param words of a text, in order. */
export function readCharacters(words: readonly string[], reading: Reading): string[] {
  const tokens: string[] = [];
  for (const word of words) {
    const syllable = syllableOf(word);
    if (syllable !== undefined) tokens.push(' ', syllable);
    else if (isAscii(word)) addAscii(word, tokens);
    else addOther(word, reading, tokens);
  }
  return tokens;
}

function isAscii(word: string): boolean {
  return /^[\0-\x7f]*$/.test(word);
}

/** Words of more than one letter are set off from all but spaces, colons and quotes. */
function addAscii(word: string, tokens: string[]): void {
  const last = tokens.at(-1);
  if (last !== undefined && word.length > 1 && !` :'"`.includes(last)) tokens.push(' ');
  tokens.push(...word);
}

function addOther(word: string, reading: Reading, tokens: string[]): void {
  const characters = [...word];
  // Where all take three bytes of UTF-8 they are read as one word, which decides readings and tones.
  const whole = characters.every((character) => /^[\u0800-\uffff]$/.test(character));
  const syllables = whole ? reading(word) : undefined;
  for (const [i, character] of characters.entries()) {
    const set = chinese.test(character);
    if (set) tokens.push(' ');
    if (syllables) tokens.push(syllables[i] ?? character);
    else if (set) tokens.push(...reading(character));
    else tokens.push(character);
  }
}
