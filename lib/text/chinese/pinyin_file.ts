/**
 * Reads pypinyin's dictionaries, phrases_dict.json and pinyin_dict.json, which lie as they are in its
 * wheel. They come from there and from no npm package because the readings must be those that the
 * models were trained with: of the 47,111 phrases of pypinyin 0.55.0, `pinyin` 4.0.0 lacks 6,004 and
 * reads 1,406 in another way, and of the 41,923 characters it lacks 1,772 and reads 2,436 in another
 * way first; it is 60 MB large and refuses @node-rs/jieba 2 as its peer. `pinyin-pro` has other data.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ModelError, messageOf } from '../../errors.js';
import { buildPinyinTable, type PinyinTable } from './pinyin_table.js';

export const PHRASES_FILE = 'phrases_dict.json';
export const SINGLES_FILE = 'pinyin_dict.json';

/** The files of 0.55.0 have 2.5 and 0.8 MB. */
const MAX_BYTES = 16 << 20;

/** @throws ModelError TOKENIZER_INVALID */
export function readPinyinFiles(folder: string): PinyinTable {
  const phrases = new Map<string, string[]>();
  const phrasesFile = join(folder, PHRASES_FILE);
  for (const [word, readings] of Object.entries(readObject(phrasesFile))) {
    const firsts = Array.isArray(readings) ? readings.map(firstOf) : [];
    check(phrasesFile, firsts.length === word.length && word.length > 0, word);
    phrases.set(word, firsts.filter(isReading));
    check(phrasesFile, phrases.get(word)?.length === word.length, word);
  }
  const singles = new Map<number, string>();
  const singlesFile = join(folder, SINGLES_FILE);
  for (const [code, readings] of Object.entries(readObject(singlesFile))) {
    check(singlesFile, /^\d{1,7}$/.test(code) && typeof readings === 'string', code);
    singles.set(Number(code), readings);
  }
  return buildPinyinTable(phrases, singles);
}

function firstOf(readings: unknown): unknown {
  return Array.isArray(readings) ? readings[0] : undefined;
}

function isReading(reading: unknown): reading is string {
  return typeof reading === 'string' && reading !== '';
}

function check(file: string, condition: boolean, entry: string): asserts condition {
  if (condition) return;
  throw new ModelError(
    'TOKENIZER_INVALID',
    `${file} is not a dictionary of pypinyin: its entry ${JSON.stringify(entry.slice(0, 40))} is malformed.`,
  );
}

function readObject(file: string): object {
  let json: unknown;
  try {
    if (statSync(file).size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `Cannot read ${file} (${messageOf(error)}). Chinese text needs ${PHRASES_FILE} and ${SINGLES_FILE} of pypinyin 0.55.0.`,
      { cause: error },
    );
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json;
  throw new ModelError('TOKENIZER_INVALID', `${file} is not a dictionary of pypinyin.`);
}
