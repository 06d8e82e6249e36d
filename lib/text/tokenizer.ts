/**
 * Whisper's tokenizer, read from the `tokenizer.json` of a Hugging Face or CTranslate2 folder. Text
 * is decoded by bytes: a segment may end within a character, which decoders of whole strings cannot
 * express.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ModelError } from '../errors.js';
import { compiledFile } from '../package_root.js';
import { encodeBytePairs } from './byte_pair.js';
import { tokenBytes, type TokenTable } from './token_table.js';
import type { SpecialTokens, TokenizerContent } from './tokenizer_file.js';
import type { TokenizerReply } from './tokenizer_thread.js';

export class WhisperTokenizer {
  readonly special: SpecialTokens;
  /** Language tokens by code, in the order of the vocabulary. */
  readonly languages: ReadonlyMap<string, number>;
  /** Ids that annotate what is not speech: brackets, notes, dashes of speaker changes. */
  readonly nonSpeechTokens: readonly number[];
  /** Ids of a single space. */
  readonly blankTokens: readonly number[];

  readonly #table: TokenTable;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  private constructor(content: TokenizerContent) {
    this.special = content.special;
    this.languages = content.languages;
    this.#table = content.table;
    this.nonSpeechTokens = this.#findNonSpeechTokens();
    this.blankTokens = this.encode(' ');
  }

  /**
   * Reads `tokenizer.json` in a model's folder.
   * @throws ModelError TOKENIZER_INVALID; the signal's reason where that aborts.
   */
  static async load(folder: string, signal?: AbortSignal): Promise<WhisperTokenizer> {
    return new WhisperTokenizer(await readInThread(join(folder, 'tokenizer.json'), signal));
  }

  /** Ids of a text. What looks like a special token is plain text. */
  encode(text: string): number[] {
    return encodeBytePairs(this.#table, text);
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
      if (token < end) bytes.push(...tokenBytes(this.#table, token));
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

/** The file's content, parsed on a thread of its own, which ends with that. */
function readInThread(file: string, signal: AbortSignal | undefined): Promise<TokenizerContent> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const fail = (problem: string, cause?: unknown): void => {
      reject(new ModelError('TOKENIZER_INVALID', problem, { cause }));
    };
    const thread = new Worker(compiledFile(import.meta.url, 'lib/text/tokenizer_thread.js'), {
      workerData: file,
      name: 'voxpod-tokenizer',
      // Flags of the caller's own program, such as --input-type, would be taken for the thread's.
      execArgv: [],
      // By default its heap grows far before the first collection: 15 MB more at the peak.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    const onAbort = (): void => {
      reject(signal?.reason);
      void thread.terminate();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    thread.on('message', (reply: TokenizerReply) => {
      if ('content' in reply) resolve(reply.content);
      else fail(reply.problem, reply.cause);
    });
    thread.on('error', (error) => {
      fail(`${file} could not be read: its thread failed (${error.message}).`, error);
    });
    thread.on('exit', () => {
      signal?.removeEventListener('abort', onAbort);
      // Where it has said nothing.
      fail(`${file} could not be read: its thread was ended.`);
    });
  });
}
