/** Reads a model's tokenizer.json into what decoding, encoding and Whisper's policy need of it. */
import { readFileSync } from 'node:fs';
import { ModelError, messageOf } from '../errors.js';
import { languageCode, languages } from '../whisper/languages.js';
import { eachMember, skipSpace, skipValue } from './json_scan.js';
import { buildTokenTable, type Pieces, type TokenTable } from './token_table.js';

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

export interface TokenizerContent {
  special: SpecialTokens;
  /** Language tokens by code, in the order of their ids. */
  languages: Map<string, number>;
  /** All tokens; the added ones are not found by their bytes, so that no text can name them. */
  table: TokenTable;
}

interface TokenizerFile {
  vocabulary: Pieces;
  /** Tokens of the vocabulary that are written as special ones are, and some others. */
  named: Map<string, number>;
  added: Map<string, number>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < MOST_IDS;
}

function check(file: string, condition: boolean, reason: string): asserts condition {
  if (condition) return;
  throw new ModelError(
    'TOKENIZER_INVALID',
    `${file} is not a Whisper tokenizer: ${reason}. Download the model's tokenizer.json again.`,
  );
}

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `Cannot read ${file} (${messageOf(error)}). A model's folder needs its tokenizer.json.`,
      { cause: error },
    );
  }
}

const utf8 = new TextDecoder();

const OBJECT = 0x7b;
const ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const ANGLE = 0x3c;

/** One past the greatest id that a file may have. */
const MOST_IDS = 1 << 20;

/** A whole number written in digits alone, else -1. */
function wholeNumber(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9 || value > MOST_IDS) return -1;
    value = value * 10 + digit;
  }
  return end > start && value < MOST_IDS ? value : -1;
}

/** The vocabulary's tokens, and behind them those that the file adds or spells with escapes. */
class PieceList {
  #text: Uint8Array;
  #size: number;
  #starts = new Uint32Array(1 << 16);
  #ends = new Uint32Array(1 << 16);
  #count = 0;

  /** @param text the file's: pieces may lie in it */
  constructor(text: Uint8Array) {
    this.#text = text;
    this.#size = text.length;
  }

  place(id: number, start: number, end: number): void {
    if (id >= this.#starts.length) {
      const length = Math.max(2 * this.#starts.length, id + 1);
      this.#starts = grown(this.#starts, new Uint32Array(length));
      this.#ends = grown(this.#ends, new Uint32Array(length));
    }
    this.#starts[id] = start;
    this.#ends[id] = end;
    this.#count = Math.max(this.#count, id + 1);
  }

  /** A piece that does not stand in the file as it is. */
  add(id: number, piece: string): void {
    const bytes = Buffer.from(piece);
    const end = this.#size + bytes.length;
    if (end > this.#text.length) {
      this.#text = grown(this.#text, new Uint8Array(end + (1 << 16)));
    }
    this.#text.set(bytes, this.#size);
    this.place(id, this.#size, end);
    this.#size = end;
  }

  pieces(): Pieces {
    return {
      text: this.#text,
      starts: this.#starts.subarray(0, this.#count),
      ends: this.#ends.subarray(0, this.#count),
    };
  }
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** What the file holds by the names of its members; those that are not asked for stay unread. */
interface Outline {
  /** The model's members but for its vocabulary and merges. */
  model: Record<string, unknown>;
  added: unknown;
  pieces: PieceList | undefined;
  named: Map<string, number>;
  hasMerges: boolean;
}

function outline(file: string, bytes: Uint8Array): Outline {
  const found: Outline = {
    ...{ model: {}, added: undefined, pieces: undefined, named: new Map(), hasMerges: false },
  };
  const text = (start: number, end: number): string => utf8.decode(bytes.subarray(start, end));
  const begin = skipSpace(bytes, 0);
  check(file, begin >= bytes.length || bytes[begin] === OBJECT, 'it holds no object');
  eachMember(bytes, begin, (keyStart, keyEnd, at) => {
    const key = text(keyStart, keyEnd);
    if (key === 'model' && bytes[at] === OBJECT) {
      return eachMember(bytes, at, (start, stop, value) => {
        const name = text(start, stop);
        if (name === 'vocab' && bytes[value] === OBJECT) {
          found.pieces = new PieceList(bytes);
          return readPieces(file, bytes, value, found.pieces, found.named);
        }
        const end = skipValue(bytes, value);
        if (name === 'merges') found.hasMerges = bytes[value] === ARRAY;
        else found.model[name] = JSON.parse(text(value, end));
        return end;
      });
    }
    const end = skipValue(bytes, at);
    if (key === 'added_tokens') found.added = JSON.parse(text(at, end));
    return end;
  });
  return found;
}

/** Reads the vocabulary that begins at `at`; returns where it ends. */
function readPieces(
  file: string,
  bytes: Uint8Array,
  at: number,
  pieces: PieceList,
  named: Map<string, number>,
): number {
  return eachMember(bytes, at, (start, end, value) => {
    const stop = skipValue(bytes, value);
    const id = wholeNumber(bytes, value, stop);
    check(file, id >= 0, 'its vocabulary is malformed');
    let escaped = false;
    for (let i = start; i < end; i++) escaped ||= bytes[i] === BACKSLASH;
    if (!escaped) pieces.place(id, start, end);
    if (escaped || bytes[start] === ANGLE) {
      const piece = String(JSON.parse(utf8.decode(bytes.subarray(start - 1, end + 1))));
      if (escaped) pieces.add(id, piece);
      named.set(piece, id);
    }
    return stop;
  });
}

function parse(file: string, bytes: Uint8Array): TokenizerFile {
  try {
    const { model, added, pieces, named, hasMerges } = outline(file, bytes);
    check(file, model['type'] === 'BPE', 'its model is not BPE');
    check(file, pieces !== undefined, 'its vocabulary is malformed');
    check(file, hasMerges, 'its merges are missing');
    const special = addedTokens(file, added);
    for (const [name, id] of special) pieces.add(id, name);
    return { vocabulary: pieces.pieces(), named, added: special };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ModelError(
      'TOKENIZER_INVALID',
      `${file} is not valid JSON (${messageOf(error)}). Download the model's tokenizer.json again.`,
      { cause: error },
    );
  }
}

function addedTokens(file: string, added: unknown): Map<string, number> {
  check(file, Array.isArray(added), 'its added tokens are missing');
  const tokens = added.map((token: unknown): [string, number] => {
    check(file, isRecord(token), 'an added token is malformed');
    const { id, content } = token;
    check(file, isId(id) && typeof content === 'string', 'an added token is malformed');
    return [content, id];
  });
  return new Map(tokens);
}

function specialTokens(file: string, { named, added }: TokenizerFile): SpecialTokens {
  const find = (...names: string[]): number => {
    for (const name of names) {
      const id = added.get(name) ?? named.get(name);
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
  return {
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
}

function languageTokens(added: ReadonlyMap<string, number>): Map<string, number> {
  const found: [string, number][] = [];
  for (const [content, id] of added) {
    const code = /^<\|([a-z]{2,3})\|>$/.exec(content)?.[1];
    if (code === undefined) continue;
    if (languages.has(code)) found.push([code, id]);
    // Tokenizers of 2022 write Hebrew's code of before 1989.
    else if (code === 'iw') found.push([languageCode(code), id]);
  }
  return new Map(found.sort(([, a], [, b]) => a - b));
}

function tokenTable({ vocabulary, added }: TokenizerFile): TokenTable {
  const special = new Set(added.values());
  return buildTokenTable(vocabulary, (id) => !special.has(id));
}

/** @throws ModelError TOKENIZER_INVALID */
export function readTokenizerFile(file: string): TokenizerContent {
  const content = parse(file, readBytes(file));
  return {
    special: specialTokens(file, content),
    languages: languageTokens(content.added),
    table: tokenTable(content),
  };
}
