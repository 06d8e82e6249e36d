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
import { eachMember, skipSpace, skipValue } from '../json_scan.js';
import { buildPinyinTable, type PinyinTable } from './pinyin_table.js';

export const PHRASES_FILE = 'phrases_dict.json';
export const SINGLES_FILE = 'pinyin_dict.json';

/** The files of 0.55.0 have 2.5 and 0.8 MB. */
const MAX_BYTES = 16 << 20;

/** @throws ModelError TOKENIZER_INVALID */
export function readPinyinFiles(folder: string): PinyinTable {
  const phrases = new Map<string, string[]>();
  readMembers(join(folder, PHRASES_FILE), (word, readings) => {
    const firsts = Array.isArray(readings) ? readings.map(firstOf).filter(isReading) : [];
    phrases.set(word, firsts);
    return word !== '' && firsts.length === word.length;
  });
  const singles = new Map<number, string>();
  readMembers(join(folder, SINGLES_FILE), (code, readings) => {
    if (!/^\d{1,7}$/.test(code) || typeof readings !== 'string') return false;
    singles.set(Number(code), readings);
    return true;
  });
  return buildPinyinTable(phrases, singles);
}

function firstOf(readings: unknown): unknown {
  return Array.isArray(readings) ? readings[0] : undefined;
}

function isReading(reading: unknown): reading is string {
  return typeof reading === 'string' && reading !== '';
}

/**
 * Each member of the object in a file, one after another: as one object they take 35 MB. `take` says
 * whether it is what the file should have.
 */
function readMembers(file: string, take: (key: string, value: unknown) => boolean): void {
  let wrong: string | undefined;
  try {
    if (statSync(file).size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    const bytes = readFileSync(file);
    eachMember(bytes, skipSpace(bytes, 0), (keyStart, keyEnd, start) => {
      const end = skipValue(bytes, start);
      const key = bytes.toString('utf8', keyStart, keyEnd);
      if (!take(key, JSON.parse(bytes.toString('utf8', start, end)))) wrong ??= key;
      return end;
    });
  } catch (error) {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `Cannot read ${file} (${messageOf(error)}). Chinese text needs ${PHRASES_FILE} and ${SINGLES_FILE} of pypinyin 0.55.0.`,
      { cause: error },
    );
  }
  if (wrong === undefined) return;
  throw new ModelError(
    'TOKENIZER_INVALID',
    `${file} is not a dictionary of pypinyin: its entry ${JSON.stringify(wrong.slice(0, 40))} is malformed.`,
  );
}
