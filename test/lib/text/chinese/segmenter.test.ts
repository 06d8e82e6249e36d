import { Jieba } from '@node-rs/jieba';
import { dict } from '@node-rs/jieba/dict.js';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../../lib/package_root.js';
import { cutPlain, hasIdeographs } from '../../../../lib/text/chinese/plain_segments.js';
import { cutWords } from '../../../../lib/text/chinese/segmenter.js';
import { pinyinCases, randomNumbers } from './fixtures.js';

describe('cutWords', () => {
  it('cuts as rjieba does', async () => {
    for (const { text, words } of pinyinCases()) assert.deepEqual(await cutWords(text), words);
  });

  it('cuts as the library does that has loaded its dictionary in one go', async () => {
    const jieba = Jieba.withDict(dict);
    const words = dict.toString().split('\n', 200_000);
    const random = randomNumbers(1);
    for (let i = 0; i < 2000; i++) {
      const text = Array.from({ length: 6 }, () => words[random(words.length)]?.split(' ')[0]);
      assert.deepEqual(await cutWords(text.join('')), jieba.cut(text.join(''), true));
    }
  });

  it('loads nothing for the library itself, nor for text without ideographs', () => {
    const root = JSON.stringify(join(packageRoot(), 'dist/lib'));
    const script = `
      const { createRequire } = await import('node:module');
      const loaded = () => Object.keys(createRequire(${root}).cache).some((name) => name.includes('jieba'));
      await import(${root} + '/index.js');
      const { F5Tokenizer } = await import(${root} + '/f5/tokenizer.js');
      await F5Tokenizer.bytes().tokens('重庆');
      const { cutWords } = await import(${root} + '/text/chinese/segmenter.js');
      await cutWords('Plain English, ça va, かな.');
      const before = loaded();
      await cutWords('重庆');
      console.log(JSON.stringify([before, loaded()]));`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(child.stdout, '[false,true]\n', child.stderr);
  });
});

describe('cutPlain', () => {
  it('is what the library does to text without ideographs', () => {
    const jieba = Jieba.withDict(dict);
    const random = randomNumbers(2);
    const pieces = [...'aZ09.+#&_%- \t\n\'",;:!()/@éßПрテ한〇々“—😀²', ...['\r\n', 'C++', 'c#']];
    pieces.push('AT&T', 'the', '5%', '3.14', 'x9', 'C', 'T');
    for (let i = 0; i < 20_000; i++) {
      const text = Array.from({ length: random(16) }, () => pieces[random(pieces.length)]).join('');
      assert.equal(hasIdeographs(text), false);
      assert.deepEqual(cutPlain(text), jieba.cut(text, true), JSON.stringify(text));
    }
  });

  it('cuts words, numbers and signs', () => {
    const cases: [string, string[]][] = [
      ['', []],
      ["don't", ['don', "'", 't']],
      ['COVID-19 F-16', ['COVID-19', ' ', 'F-16']],
      ['sub-band', ['sub', '-', 'band']],
      ['3.14.15 50%', ['3.14', '.', '15', ' ', '50%']],
      ['C++11 c# AT&T', ['C++', '11', ' ', 'c#', ' ', 'AT&T']],
      ['a\r\n\tb', ['a', '\r\n', '\t', 'b']],
    ];
    for (const [text, words] of cases) assert.deepEqual(cutPlain(text), words);
  });

  it('takes linear time', () => {
    for (const unit of ['a', '-', 'a-', '1.', ' ']) {
      const start = performance.now();
      cutPlain(unit.repeat(200_000));
      assert.ok(performance.now() - start < 5000, unit);
    }
  });
});
