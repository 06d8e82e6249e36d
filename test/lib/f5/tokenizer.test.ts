import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { markOf } from '../../../lib/f5/pinyin_marks.js';
import { F5Tokenizer } from '../../../lib/f5/tokenizer.js';
import { noPinyin, pinyinCases, pinyinFolder } from '../text/chinese/fixtures.js';
import { vocabularyOf } from './vocabulary.js';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'voxpod-f5-'));
});
after(() => {
  rmSync(folder, { recursive: true });
});

function write(content: string | Uint8Array): string {
  const file = join(folder, 'vocab.txt');
  writeFileSync(file, content);
  return file;
}

describe('F5Tokenizer.load', () => {
  it('reads a line as a token, whatever ends it', async () => {
    for (const newline of ['\n', '\r\n']) {
      const lines = [' ', 'a', 'b', 'chong2', '', '。'];
      const tokenizer = await F5Tokenizer.load(write(lines.map((l) => l + newline).join('')));
      assert.equal(tokenizer.size, 6);
      assert.deepEqual([...(await tokenizer.encode('ba。? '))], [2, 1, 5, 0, 0]);
      assert.deepEqual(
        ['chong2', 'chong3'].map((token) => tokenizer.has(token)),
        [true, false],
      );
    }
    const last = await F5Tokenizer.load(write(' \na'));
    assert.deepEqual([...(await last.encode('a'))], [1]);
  });

  it('takes the last of a token that comes twice, and no id beyond the embeddings', async () => {
    const lines = [' ', ...'abcdefghijklmnopqrstuvwxyz', 'a'];
    const tokenizer = await F5Tokenizer.load(write(lines.join('\n') + '\n'));
    assert.equal(tokenizer.size, 27);
    assert.deepEqual([...(await tokenizer.encode('abz'))], [0, 2, 26]);
  });

  it('refuses what is no vocabulary', async () => {
    const cases: [string | Uint8Array, RegExp][] = [
      ['', /empty/],
      ['a\nb\n', /first line is not a space/],
      [' \na\na\na\n', /come twice/],
      [Uint8Array.of(0x20, 0x0a, 0xff, 0x0a), /UTF-8/],
      [` \n${'x'.repeat(100)}\n`, /line 2 is too long/],
      [` \n${'\n'.repeat(300_000)}`, /300001 lines/],
      [' '.repeat((8 << 20) + 1), /bytes/],
    ];
    for (const [content, message] of cases) {
      await assert.rejects(F5Tokenizer.load(write(content)), {
        ...{ name: 'ModelError', code: 'TOKENIZER_INVALID', message },
      });
    }
    await assert.rejects(F5Tokenizer.load(join(folder, 'nothing')), { code: 'TOKENIZER_INVALID' });
  });
});

describe('F5Tokenizer', () => {
  const load = (options: Parameters<typeof F5Tokenizer.load>[1] = {}): Promise<F5Tokenizer> =>
    F5Tokenizer.load(write(vocabularyOf([])), options);

  it('reads as the reference does', { skip: noPinyin }, async () => {
    const tokenizer = await load({ pinyin: pinyinFolder() ?? '' });
    for (const { text, tokens } of pinyinCases()) {
      assert.deepEqual(await tokenizer.tokens(text), tokens);
    }
  });

  it('reads what is not Chinese without dictionaries', async () => {
    const tokenizer = await load();
    const plain = pinyinCases().filter(({ text }) => !/\p{Script=Han}/u.test(text));
    assert.ok(plain.length > 3);
    for (const { text, tokens } of plain) assert.deepEqual(await tokenizer.tokens(text), tokens);
  });

  it('says what Chinese needs, and asks for it when it comes', async () => {
    const bare = await load();
    await assert.rejects(bare.encode('你好'), { code: 'MODEL_NOT_FOUND', message: /pypinyin/ });
    let asked = 0;
    const asking = await load({
      pinyin: () => {
        asked++;
        return Promise.reject(new Error('offline'));
      },
    });
    await asking.encode('Hello');
    assert.equal(asked, 0);
    await assert.rejects(asking.encode('你好'), /offline/);
    await assert.rejects(asking.encode('你好'), /offline/);
    assert.equal(asked, 2);
  });

  it('says syllables that are given', async () => {
    const marks = ['chong2', 'qing4', 'lü4', 'de5'].map(markOf).join('');
    const tokenizer = await load();
    assert.deepEqual(await tokenizer.tokens(`in ${marks}!`), [
      ...['i', 'n', ' ', ' ', 'chong2', ' ', 'qing4', ' ', 'lv4', ' ', 'de', '!'],
    ]);
  });

  it('takes half a surrogate pair for a character that cannot be read', async () => {
    const tokenizer = await load();
    assert.deepEqual(await tokenizer.tokens('a\ud83d b😀'), ['a', '\ufffd', ' ', 'b', '😀']);
  });

  it('reads characters or bytes where a model does', async () => {
    const characters = await F5Tokenizer.load(write(' \n你\n😀\n'), { kind: 'char' });
    assert.deepEqual([...(await characters.encode('你 😀；'))], [1, 0, 2, 0]);
    const bytes = F5Tokenizer.bytes();
    assert.equal(bytes.size, 256);
    assert.deepEqual(
      [...(await bytes.encode('abc é 你'))],
      [...[97, 98, 99, 32, 195, 169, 32, 228, 189, 160]],
    );
    assert.deepEqual([...(await bytes.encode(''))], []);
  });
});
