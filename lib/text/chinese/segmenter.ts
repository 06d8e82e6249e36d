/**
 * Cuts text into words as F5-TTS's reference does, which calls rjieba: jieba with its dictionary and
 * its hidden Markov model for unknown words. @node-rs/jieba is the same Rust library.
 *
 * It is loaded when the first text with ideographs comes: 55 MB of memory and 0.1 s of computing, in
 * slices, so that the loop is held for some milliseconds at a time and not for all of it.
 */
import type { Jieba } from '@node-rs/jieba';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { NativeError, messageOf } from '../../errors.js';
import { cutPlain, hasIdeographs } from './plain_segments.js';

const SLICE_BYTES = 1 << 17;
/** A word is in one line, so slices end at lines. */
const NEWLINE = 10;

let loading: Promise<Jieba> | undefined;

/**
 * The words of a text, which joined are the text.
 * @throws NativeError ADDON_NOT_FOUND where the library does not load.
 */
export async function cutWords(text: string): Promise<string[]> {
  if (!hasIdeographs(text)) return cutPlain(text);
  loading ??= load();
  try {
    return (await loading).cut(text, true);
  } catch (error) {
    loading = undefined;
    throw error;
  }
}

async function load(): Promise<Jieba> {
  try {
    const { Jieba } = await import('@node-rs/jieba');
    const jieba = new Jieba();
    // The package's own module of the dictionary reads both its files, and in one go.
    const file = createRequire(import.meta.url).resolve('@node-rs/jieba/dict.txt');
    const dictionary = await readFile(file);
    for (let at = 0; at < dictionary.length;) {
      const line = dictionary.lastIndexOf(NEWLINE, at + SLICE_BYTES);
      const end = at + SLICE_BYTES >= dictionary.length || line < at ? dictionary.length : line + 1;
      jieba.loadDict(dictionary.subarray(at, end));
      at = end;
      await setImmediate();
    }
    return jieba;
  } catch (error) {
    throw new NativeError(
      'ADDON_NOT_FOUND',
      `Chinese text cannot be cut into words: @node-rs/jieba does not load (${messageOf(error)}). Install voxpod's optional dependencies: npm install --include=optional.`,
      { cause: error },
    );
  }
}
