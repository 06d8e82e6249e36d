/**
 * Whisper's tokenizer, read from the `tokenizer.json` of a Hugging Face or CTranslate2 folder. Text
 * is encoded by @huggingface/tokenizers and decoded here, by bytes: a segment may end within a
 * character, which decoders of whole strings cannot express.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { ModelError, messageOf } from '../errors.js';
import { languageCode, languages } from '../whisper/languages.js';
import { appendBytes } from './byte_level.js';

/** Ids of the tokens that steer Whisper. */
export interface SpecialTokens {
  endOfText: number;
  startOfTranscript: number;
  transcribe: number;
  translate: number;
  startOfPrevious: number;
  /** -1 where the vocabulary has none. */
  startOfLanguageModel: number;
  /** -1 where the vocabulary has none. */
  noSpeech: number;
  noTimestamps: number;
  /** Token of 0.00 s; the timestamps are the last tokens of the vocabulary, 20 ms apart. */
  timestampBegin: number;
}

interface TokenizerFile {
  vocabulary: Record<string, number>;
  merges: unknown[];
  preTokenizer: unknown;
  added: { id: number; content: string }[];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < 1 << 20;
}

function check(file: string, condition: boolean, reason: string): asserts condition {
  if (condition) return;
  throw new ModelError(
    'TOKENIZER_INVALID',
    `${file} is not a Whisper tokenizer: ${reason}. Download the model's tokenizer.json again.`,
  );
}

function parse(file: string, text: string): TokenizerFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `${file} is not valid JSON (${messageOf(error)}). Download the model's tokenizer.json again.`,
      { cause: error },
    );
  }
  check(file, isRecord(json), 'it holds no object');
  const { model, added_tokens: added, pre_tokenizer: preTokenizer } = json;
  check(file, isRecord(model) && model['type'] === 'BPE', 'its model is not BPE');
  const { vocab, merges } = model;
  check(file, isRecord(vocab) && Object.values(vocab).every(isId), 'its vocabulary is malformed');
  check(file, Array.isArray(merges), 'its merges are missing');
  check(file, Array.isArray(added), 'its added tokens are missing');
  const special = added.map((token: unknown) => {
    check(file, isRecord(token), 'an added token is malformed');
    const { id, content } = token;
    check(file, isId(id) && typeof content === 'string', 'an added token is malformed');
    return { id, content };
  });
  return { vocabulary: vocab as Record<string, number>, merges, preTokenizer, added: special };
}

/** Language tokens by code, in the order of their ids. */
function languageTokens(special: ReadonlyMap<string, number>): Map<string, number> {
  const found: [string, number][] = [];
  for (const [content, id] of special) {
    const code = /^<\|([a-z]{2,3})\|>$/.exec(content)?.[1];
    if (code === undefined) continue;
    if (languages.has(code)) found.push([code, id]);
    // Tokenizers of 2022 write Hebrew's code of before 1989.
    else if (code === 'iw') found.push([languageCode(code), id]);
  }
  return new Map(found.sort(([, a], [, b]) => a - b));
}

export class WhisperTokenizer {
  readonly special: SpecialTokens;
  /** Language tokens by code, in the order of the vocabulary. */
  readonly languages: ReadonlyMap<string, number>;
  /** Ids that annotate what is not speech: brackets, notes, dashes of speaker changes. */
  readonly nonSpeechTokens: readonly number[];
  /** Ids of a single space. */
  readonly blankTokens: readonly number[];

  readonly #encoder: Tokenizer;
  readonly #pieces: string[] = [];
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  private constructor(file: string, content: TokenizerFile) {
    const special = new Map(content.added.map(({ id, content }) => [content, id]));
    const find = (...names: string[]): number => {
      for (const name of names) {
        const id = special.get(name) ?? content.vocabulary[name];
        if (id !== undefined) return id;
      }
      return -1;
    };
    const need = (name: string): number => {
      const id = find(name);
      check(file, id >= 0, `it has no ${name} token`);
      return id;
    };
    const noTimestamps = need('<|notimestamps|>');
    this.special = {
      endOfText: need('<|endoftext|>'),
      startOfTranscript: need('<|startoftranscript|>'),
      transcribe: need('<|transcribe|>'),
      translate: need('<|translate|>'),
      startOfPrevious: need('<|startofprev|>'),
      startOfLanguageModel: find('<|startoflm|>'),
      noSpeech: find('<|nospeech|>', '<|nocaptions|>'),
      noTimestamps,
      // Many tokenizer files leave the timestamps out; they follow <|notimestamps|> in all of them.
      timestampBegin: noTimestamps + 1,
    };
    this.languages = languageTokens(special);
    for (const [piece, id] of Object.entries(content.vocabulary)) this.#pieces[id] = piece;
    for (const [name, id] of special) this.#pieces[id] = name;

    // Without the added tokens, "<|endoftext|>" in a caller's text is text and steers nothing.
    this.#encoder = new Tokenizer(
      {
        model: { type: 'BPE', vocab: content.vocabulary, merges: content.merges },
        pre_tokenizer: content.preTokenizer,
        normalizer: null,
        post_processor: null,
        decoder: null,
        added_tokens: [],
      },
      {},
    );
    this.nonSpeechTokens = this.#findNonSpeechTokens();
    this.blankTokens = this.encode(' ');
  }

  /**
   * Reads `tokenizer.json` in a model's folder.
   * @throws ModelError TOKENIZER_INVALID
   */
  static async load(folder: string): Promise<WhisperTokenizer> {
    const file = join(folder, 'tokenizer.json');
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch (error) {
      throw new ModelError(
        'TOKENIZER_INVALID',
        `Cannot read ${file} (${messageOf(error)}). A model's folder needs its tokenizer.json.`,
        { cause: error },
      );
    }
    const content = parse(file, text);
    // Two megabytes take some 50 ms to parse and 100 ms to index. In between others get a turn,
    // timers among them: setImmediate would come back before those.
    await pause(1);
    try {
      return new WhisperTokenizer(file, content);
    } catch (error) {
      if (error instanceof ModelError) throw error;
      throw new ModelError(
        'TOKENIZER_INVALID',
        `${file} cannot be used (${messageOf(error)}). Download the model's tokenizer.json again.`,
        { cause: error },
      );
    }
  }

  /** Ids of a text. What looks like a special token is plain text. */
  encode(text: string): number[] {
    return text === '' ? [] : this.#encoder.encode(text, { add_special_tokens: false }).ids;
  }

  /** Text of ids; special tokens and timestamps are left out, broken UTF-8 becomes U+FFFD. */
  decode(tokens: Iterable<number>): string {
    return this.#decode(tokens, this.special.endOfText);
  }

  /** Text of ids with special tokens by name, as "<|en|>"; timestamps are left out. */
  decodeWithSpecial(tokens: Iterable<number>): string {
    return this.#decode(tokens, this.special.timestampBegin);
  }

  #decode(tokens: Iterable<number>, end: number): string {
    const bytes: number[] = [];
    for (const token of tokens) {
      if (token < end) appendBytes(this.#pieces[token] ?? '', bytes);
    }
    return this.#decoder.decode(Uint8Array.from(bytes));
  }

  /**
   * The set as openai-whisper defines it. Symbols that may be several tokens are suppressed by
   * their first one where that is safe: the notes of U+2640 to U+267F share their first two bytes
   * with nothing that is spoken.
   */
  #findNonSpeechTokens(): number[] {
    const notes = [...'♩♪♫♬♭♮♯'];
    const symbols = [
      ...'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
      ...'<< >> <<< >>> -- --- -( -[ (\' (" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪'.split(' '),
    ];
    const found = new Set<number>();
    const add = (text: string, evenFirstOfMany: boolean): void => {
      const [first, ...rest] = this.encode(text);
      if (first !== undefined && (rest.length === 0 || evenFirstOfMany)) found.add(first);
    };
    // Hyphens and quotes are fine within words, not at the start of one.
    add(' -', true);
    add(" '", true);
    for (const symbol of [...symbols, ...notes]) {
      const note = notes.includes(symbol);
      add(symbol, note);
      add(` ${symbol}`, note);
    }
    return [...found].sort((a, b) => a - b);
  }
}
