/** What the tests of Chinese share. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../../lib/package_root.js';
import { folderFrom } from '../../../support/needs.js';

export interface PinyinCase {
  text: string;
  words: string[];
  tokens: string[];
}

export function pinyinCases(): PinyinCase[] {
  const file = join(packageRoot(), 'test/fixtures/f5/pinyin.json');
  const cases = JSON.parse(readFileSync(file, 'utf8')) as Record<keyof PinyinCase, string>[];
  return cases.map(({ text, words, tokens }) => ({
    text,
    words: words.split('|'),
    tokens: tokens.split('|'),
  }));
}

/** The folder with pypinyin's dictionaries: `voxpod models pull pypinyin` gets them. */
export function pinyinFolder(): string | undefined {
  const models = folderFrom('VOXPOD_TEST_MODELS');
  const folder = models === undefined ? undefined : join(models, 'pypinyin');
  return folder !== undefined && existsSync(folder) ? folder : undefined;
}

export const noPinyin =
  pinyinFolder() === undefined && 'no folder pypinyin in VOXPOD_TEST_MODELS (models pull pypinyin)';

/** Numbers below `limit`, the same ones each time (Numerical Recipes' generator). */
export function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
