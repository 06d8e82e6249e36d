import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pinyinOf } from '../../../../lib/text/chinese/pinyin.js';
import { loadPinyin } from '../../../../lib/text/chinese/pinyin_dictionary.js';
import { buildPinyinTable, numberTone } from '../../../../lib/text/chinese/pinyin_table.js';
import { applyToneSandhi } from '../../../../lib/text/chinese/tone_sandhi.js';
import { noPinyin, pinyinFolder } from './fixtures.js';

const phrases: [string, string[]][] = [
  ['重庆', ['chóng', 'qìng']],
  ['重庆市', ['chóng', 'qìng', 'shì']],
  ['时不再来', ['shí', 'bú', 'zài', 'lái']],
  ['不再', ['bú', 'zài']],
  ['你好', ['nǐ', 'hǎo']],
  ['绿色', ['lǜ', 'sè']],
];
const singles: [string, string][] = [
  ...([['重', 'zhòng,chóng'] as [string, string], ['庆', 'qìng'], ['时', 'shí']] as [
    string,
    string,
  ][]),
  ...([
    ['不', 'bù'],
    ['再', 'zài'],
    ['嗯', 'ń,ňg'],
    ['的', 'de,dì'],
    ['一', 'yī'],
  ] as [string, string][]),
];

describe('numberTone', () => {
  it('puts the tone at the end and writes ü as v', () => {
    const cases = ['zhōng zhong1', 'lǜ lv4', 'lüè lve4', 'de de', 'ń n2', 'ḿ m2', 'ê ê', 'ér er2'];
    for (const [marked = '', numbered] of cases.map((line) => line.split(' '))) {
      assert.equal(numberTone(marked), numbered);
    }
  });
});

describe('pinyinOf', () => {
  const table = buildPinyinTable(
    new Map(phrases),
    new Map(singles.map(([character, readings]) => [character.charCodeAt(0), readings])),
  );
  const read = (word: string): string => pinyinOf(table, word).join(' ');

  it('reads the longest phrase, else the first reading of a character', () => {
    assert.equal(read('重庆市'), 'chong2 qing4 shi4');
    assert.equal(read('重庆的重庆'), 'chong2 qing4 de chong2 qing4');
    assert.equal(read('重的'), 'zhong4 de');
    assert.equal(read('绿色'), 'lv4 se4');
    assert.equal(read('嗯'), 'n2');
    assert.equal(read(''), '');
  });

  it('leaves what has no reading', () => {
    assert.equal(read('鿿'), '鿿');
    assert.equal(read('ㄅテ'), 'ㄅ テ');
  });

  it('reads a rest that only begins a phrase character by character, as pypinyin', () => {
    assert.equal(read('不再'), 'bu2 zai4');
    assert.equal(read('时不再'), 'shi2 bu4 zai4');
    assert.equal(read('时不再的'), 'shi2 bu2 zai4 de');
  });
});

describe('applyToneSandhi', () => {
  it('changes third tones, 不 and 一', () => {
    const cases: [string, string, string][] = [
      ['你好', 'ni3 hao3', 'ni2 hao3'],
      ['展览馆', 'zhan3 lan3 guan3', 'zhan2 lan2 guan3'],
      // A row of third tones within a phrase is left alone, as in pypinyin.
      ['老虎的', 'lao3 hu3 de', 'lao3 hu3 de'],
      // And where one stands before, it is that one that changes.
      ['我是老虎', 'wo3 shi4 lao3 hu3', 'wo2 shi4 lao3 hu3'],
      ['不是', 'bu4 shi4', 'bu2 shi4'],
      ['不好', 'bu2 hao3', 'bu4 hao3'],
      ['不', 'bu2', 'bu4'],
      ['一定', 'yi4 ding4', 'yi2 ding4'],
      ['一天', 'yi1 tian1', 'yi4 tian1'],
      ['第一', 'di4 yi4', 'di4 yi1'],
      ['差不多', 'cha4 bu duo1', 'cha4 bu duo1'],
    ];
    for (const [phrase, syllables, changed] of cases) {
      assert.equal(applyToneSandhi(phrase, syllables.split(' ')).join(' '), changed, phrase);
    }
  });
});

describe('loadPinyin', () => {
  let folder: string;
  const write = (words: unknown, characters: unknown): void => {
    writeFileSync(join(folder, 'phrases_dict.json'), JSON.stringify(words));
    writeFileSync(join(folder, 'pinyin_dict.json'), JSON.stringify(characters));
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'voxpod-pinyin-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('refuses what is no dictionary, and reads anew the next time', async () => {
    const invalid = { name: 'ModelError', code: 'TOKENIZER_INVALID' };
    await assert.rejects(loadPinyin(folder), {
      ...invalid,
      message: /phrases_dict\.json.*pypinyin/,
    });
    for (const [words, characters] of [
      [[], {}],
      [{ 重庆: [['chóng']] }, {}],
      [{ 重庆: [['chóng'], [5]] }, {}],
      [{ 重庆: 'chóng qìng' }, {}],
      [{ '': [] }, {}],
      [{}, { x: 'a' }],
      [{}, { '20013': ['zhōng'] }],
    ]) {
      write(words, characters);
      await assert.rejects(loadPinyin(folder), invalid);
    }
    write({ 重庆: [['chóng'], ['qìng']] }, { '24198': 'qìng', '131072': 'hē' });
    const table = await loadPinyin(folder);
    assert.deepEqual(pinyinOf(table, '庆重庆'), ['qing4', 'chong2', 'qing4']);
    assert.equal(await loadPinyin(folder), table);
  });

  it('reads all of pypinyin into arrays', { skip: noPinyin }, async () => {
    const table = await loadPinyin(pinyinFolder() ?? '');
    assert.equal(table.starts.length - 1, 47_111);
    assert.equal(table.phrases.length, table.readings.length);
    assert.ok(table.syllables.length < 2000);
    assert.deepEqual(pinyinOf(table, '银行行长'), ['yin2', 'hang2', 'hang2', 'zhang3']);
  });
});
