/**
 * Text as F5-TTS's and E2-TTS's models take it. Chinese is read in pinyin: the dictionaries for it are
 * loaded by the first text that has any, so that other languages cost neither time nor memory.
 */
import { ModelError } from '../errors.js';
import { loadPinyin } from '../text/chinese/pinyin_dictionary.js';
import { pinyinOf } from '../text/chinese/pinyin.js';
import { cutWords } from '../text/chinese/segmenter.js';
import { mayHaveReading, plainPunctuation, readCharacters, type Reading } from './characters.js';
import { syllableOf } from './pinyin_marks.js';
import { readVocabulary, type Vocabulary } from './vocabulary.js';

/**
 * - pinyin: characters, and syllables for Chinese ones; the authors' models and most others.
 * - char: characters as they are.
 * - byte: the bytes of UTF-8, without a vocabulary.
 */
export type TokenizerKind = 'pinyin' | 'char' | 'byte';

/**
 * The folder with phrases_dict.json and pinyin_dict.json of pypinyin 0.55.0, or what gets it: called
 * when the first Chinese text comes, and again after it failed.
 */
export type PinyinFolder = string | (() => Promise<string>);

/** The id of what is not in the vocabulary: that of a space. */
const UNKNOWN = 0;
const BYTES = 256;

export class F5Tokenizer {
  readonly kind: TokenizerKind;
  /** Ids are below it. A checkpoint that fits has one embedding more. */
  readonly size: number;

  readonly #vocabulary: Vocabulary | undefined;
  readonly #pinyin: PinyinFolder | undefined;

  private constructor(kind: TokenizerKind, vocabulary?: Vocabulary, pinyin?: PinyinFolder) {
    this.kind = kind;
    this.size = vocabulary?.size ?? BYTES;
    this.#vocabulary = vocabulary;
    this.#pinyin = pinyin;
  }

  /**
   * Reads a model's vocab.txt.
   * @throws ModelError TOKENIZER_INVALID
   */
  static async load(
    file: string,
    options: { kind?: 'pinyin' | 'char'; pinyin?: PinyinFolder } = {},
  ): Promise<F5Tokenizer> {
    const vocabulary = await readVocabulary(file);
    return new F5Tokenizer(options.kind ?? 'pinyin', vocabulary, options.pinyin);
  }

  static bytes(): F5Tokenizer {
    return new F5Tokenizer('byte');
  }

  /** Whether a token has an id of its own: others are spoken as a space. */
  has(token: string): boolean {
    return this.#vocabulary === undefined || this.#vocabulary.ids.has(token);
  }

  /**
   * What a text is to the model, characters and syllables.
   * @throws ModelError MODEL_NOT_FOUND, TOKENIZER_INVALID where there are no dictionaries for Chinese.
   * @throws NativeError ADDON_NOT_FOUND where Chinese cannot be cut into words.
   */
  async tokens(text: string): Promise<string[]> {
    // Half a surrogate pair is no character of Unicode.
    const whole = text.replace(/[\ud800-\udfff]/gu, '\ufffd');
    if (this.kind !== 'pinyin') {
      return Array.from(whole, (character) => syllableOf(character) ?? character);
    }
    const plain = plainPunctuation(whole);
    const [words, reading] = await Promise.all([cutWords(plain), this.#reading(plain)]);
    return readCharacters(words, reading);
  }

  /** Ids of a text's tokens; of its bytes where that is the kind. Throws as `tokens` does. */
  async encode(text: string): Promise<Int32Array> {
    const tokens = await this.tokens(text);
    if (this.#vocabulary === undefined) {
      return Int32Array.from(new TextEncoder().encode(tokens.join('')));
    }
    const { ids } = this.#vocabulary;
    return Int32Array.from(tokens, (token) => ids.get(token) ?? UNKNOWN);
  }

  async #reading(text: string): Promise<Reading> {
    if (!mayHaveReading(text)) return (word) => [...word];
    if (this.#pinyin === undefined) {
      throw new ModelError(
        'MODEL_NOT_FOUND',
        'Chinese text is read with the dictionaries of pypinyin 0.55.0, of which no folder was given.',
      );
    }
    const folder = typeof this.#pinyin === 'string' ? this.#pinyin : await this.#pinyin();
    const table = await loadPinyin(folder);
    return (word) => pinyinOf(table, word);
  }
}
