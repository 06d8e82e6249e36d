/** Cuts tokens into words, as openai-whisper does (whisper/tokenizer.py, split_to_word_tokens). */
import { strip } from './python.js';

export interface TokenWord {
  /** With the blank before it. */
  word: string;
  tokens: number[];
}

/** Languages written without spaces: their words are what decodes to whole characters. */
const withoutSpaces: ReadonlySet<string> = new Set(['zh', 'ja', 'th', 'lo', 'my', 'yue']);

/** Python's string.punctuation; its order matters, for a word counts that is a part of it. */
const punctuation = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';

/**
 * @param tokens of text alone.
 * @param decode gives the text of tokens, U+FFFD for broken UTF-8.
 */
export function splitWords(
  tokens: readonly number[],
  language: string,
  decode: (tokens: readonly number[]) => string,
): TokenWord[] {
  const characters = splitCharacters(tokens, decode);
  return withoutSpaces.has(language) ? characters : joinUntilSpace(characters);
}

/**
 * The shortest runs of tokens that decode to whole characters. Within a character the text so far
 * ends in U+FFFD where the whole has something else; broken characters of the whole stay so.
 */
function splitCharacters(
  tokens: readonly number[],
  decode: (tokens: readonly number[]) => string,
): TokenWord[] {
  const whole = decode(tokens);
  const found: TokenWord[] = [];
  let first = 0;
  let offset = 0;
  for (let end = 1; end <= tokens.length; end++) {
    const soFar = decode(tokens.slice(0, end));
    if (!whole.startsWith(soFar)) continue;
    found.push({ word: soFar.slice(offset), tokens: tokens.slice(first, end) });
    first = end;
    offset = soFar.length;
  }
  return found;
}

function joinUntilSpace(parts: readonly TokenWord[]): TokenWord[] {
  const words: TokenWord[] = [];
  for (const { word, tokens } of parts) {
    const last = words.at(-1);
    if (last === undefined || word.startsWith(' ') || punctuation.includes(strip(word))) {
      words.push({ word, tokens });
    } else {
      last.word += word;
      last.tokens = [...last.tokens, ...tokens];
    }
  }
  return words;
}
