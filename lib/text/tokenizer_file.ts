/** Reads a model's tokenizer.json into what decoding, encoding and Whisper's policy need of it. */
import { readFileSync } from 'node:fs';
import { ModelError, messageOf } from '../errors.js';
import { languageCode, languages } from '../whisper/languages.js';
import { buildTokenTable, type TokenTable } from './token_table.js';

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
  vocabulary: Record<string, number>;
  added: Map<string, number>;
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

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `Cannot read ${file} (${messageOf(error)}). A model's folder needs its tokenizer.json.`,
      { cause: error },
    );
  }
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
  const { model, added_tokens: added } = json;
  check(file, isRecord(model) && model['type'] === 'BPE', 'its model is not BPE');
  const { vocab, merges } = model;
  check(file, isRecord(vocab) && Object.values(vocab).every(isId), 'its vocabulary is malformed');
  check(file, Array.isArray(merges), 'its merges are missing');
  check(file, Array.isArray(added), 'its added tokens are missing');
  const special = added.map((token: unknown): [string, number] => {
    check(file, isRecord(token), 'an added token is malformed');
    const { id, content } = token;
    check(file, isId(id) && typeof content === 'string', 'an added token is malformed');
    return [content, id];
  });
  return { vocabulary: vocab as Record<string, number>, added: new Map(special) };
}

function specialTokens(file: string, { vocabulary, added }: TokenizerFile): SpecialTokens {
  const find = (...names: string[]): number => {
    for (const name of names) {
      const id = added.get(name) ?? vocabulary[name];
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
  const pieces: string[] = [];
  for (const [piece, id] of Object.entries(vocabulary)) pieces[id] = piece;
  for (const [name, id] of added) pieces[id] = name;
  const special = new Set(added.values());
  return buildTokenTable(pieces, (id) => !special.has(id));
}

/** @throws ModelError TOKENIZER_INVALID */
export function readTokenizerFile(file: string): TokenizerContent {
  const content = parse(file, readText(file));
  return {
    special: specialTokens(file, content),
    languages: languageTokens(content.added),
    table: tokenTable(content),
  };
}
