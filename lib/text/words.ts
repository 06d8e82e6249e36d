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
const broken = '\ufffd';

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

/** The shortest runs of tokens that decode to whole characters. */
function splitCharacters(
  tokens: readonly number[],
  decode: (tokens: readonly number[]) => string,
): TokenWord[] {
  const whole = decode(tokens);
  const found: TokenWord[] = [];
  let run: number[] = [];
  let offset = 0;
  for (const token of tokens) {
    run.push(token);
    const word = decode(run);
    const at = word.indexOf(broken);
    // What is broken in the whole text too will not be mended by further tokens.
    if (at < 0 || whole[offset + at] === broken) {
      found.push({ word, tokens: run });
      offset += word.length;
      run = [];
    }
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
