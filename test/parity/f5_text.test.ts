/** Parity of text with F5-TTS's reference, on the cases that lie in VOXPOD_GOLDENS. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { chunkText } from '../../lib/f5/chunks.js';
import { F5Tokenizer } from '../../lib/f5/tokenizer.js';
import { cutWords } from '../../lib/text/chinese/segmenter.js';
import { vocabularyOf } from '../lib/f5/vocabulary.js';
import { noPinyin, pinyinFolder } from '../lib/text/chinese/fixtures.js';
import { folderFrom } from '../support/needs.js';

interface PinyinCase {
  text: string;
  jieba: string[];
  tokens: string[];
  ids: number[];
}
interface ChunkCase {
  text: string;
  max_chars: number;
  chunks: string[];
}
interface ByteCases {
  texts: string[];
  ids: number[][];
}

const goldens = folderFrom('VOXPOD_GOLDENS');
const root = goldens === undefined ? undefined : join(goldens, 'f5', 'text');
const skip =
  root === undefined
    ? 'VOXPOD_GOLDENS names no folder'
    : !existsSync(root) && 'no f5/text in VOXPOD_GOLDENS';
const read = <Content>(name: string): Content =>
  JSON.parse(readFileSync(join(root ?? '', name), 'utf8')) as Content;

describe('F5-TTS, text', { skip }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'voxpod-parity-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('cuts words as rjieba', async () => {
    for (const { text, jieba } of read<PinyinCase[]>('pinyin.json')) {
      assert.deepEqual(await cutWords(text), jieba);
    }
  });

  it('makes tokens and ids as convert_char_to_pinyin', { skip: noPinyin }, async () => {
    const cases = read<PinyinCase[]>('pinyin.json');
    assert.ok(cases.length > 0);
    const file = join(folder, 'vocab.txt');
    writeFileSync(file, vocabularyOf(cases));
    const tokenizer = await F5Tokenizer.load(file, { pinyin: pinyinFolder() ?? '' });
    for (const { text, tokens, ids } of cases) {
      assert.deepEqual(await tokenizer.tokens(text), tokens);
      assert.deepEqual([...(await tokenizer.encode(text))], ids, text);
    }
  });

  it('cuts chunks as chunk_text', () => {
    for (const { text, max_chars, chunks } of read<ChunkCase[]>('chunk_text.json')) {
      assert.deepEqual(chunkText(text, { maxBytes: max_chars, splitLong: false }), chunks);
    }
  });

  it('reads bytes', async () => {
    const { texts, ids } = read<ByteCases>('bytes.json');
    for (const [i, text] of texts.entries()) {
      // Behind its end a text of a batch is filled up with -1.
      const expected = ids[i]?.filter((id) => id >= 0);
      assert.deepEqual([...(await F5Tokenizer.bytes().encode(text))], expected);
    }
  });
});
