import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as zh from '../../../../lib/text/normalize/chinese_numbers.js';
import * as en from '../../../../lib/text/normalize/english_numbers.js';

type Table = readonly (readonly [string, string])[];

function check(speak: (digits: string) => string, table: Table): void {
  for (const [digits, words] of table) assert.equal(speak(digits), words, digits);
}

describe('numbers in English', () => {
  it('counts', () => {
    check(en.cardinal, [
      ['0', 'zero'],
      ['13', 'thirteen'],
      ['20', 'twenty'],
      ['42', 'forty-two'],
      ['100', 'one hundred'],
      ['101', 'one hundred one'],
      ['999', 'nine hundred ninety-nine'],
      ['1000', 'one thousand'],
      ['1,001', 'one thousand one'],
      ['12345', 'twelve thousand three hundred forty-five'],
      ['1,000,000', 'one million'],
      ['1000000007', 'one billion seven'],
      ['999999999999999', en.cardinal('999,999,999,999,999')],
      ['1234567890123456', en.spell('1234567890123456')],
    ]);
  });

  it('orders', () => {
    check(en.ordinal, [
      ['1', 'first'],
      ['2', 'second'],
      ['3', 'third'],
      ['5', 'fifth'],
      ['8', 'eighth'],
      ['9', 'ninth'],
      ['12', 'twelfth'],
      ['20', 'twentieth'],
      ['21', 'twenty-first'],
      ['100', 'one hundredth'],
      ['1,000', 'one thousandth'],
      ['0', 'zeroth'],
    ]);
  });

  it('says years and decades', () => {
    check(en.year, [
      ['1066', 'ten sixty-six'],
      ['1900', 'nineteen hundred'],
      ['1905', 'nineteen oh five'],
      ['1999', 'nineteen ninety-nine'],
      ['2000', 'two thousand'],
      ['2005', 'two thousand five'],
      ['2010', 'twenty ten'],
      ['2100', 'twenty-one hundred'],
      ['476', 'four hundred seventy-six'],
    ]);
    check(en.decade, [
      ['1990', 'nineteen nineties'],
      ['90', 'nineties'],
      ['2000', 'two thousands'],
      ['1800', 'eighteen hundreds'],
    ]);
  });

  it('says decimals', () => {
    check(en.decimal, [
      ['3.14', 'three point one four'],
      ['0.05', 'zero point zero five'],
      ['1,234.50', 'one thousand two hundred thirty-four point five zero'],
      ['7', 'seven'],
      ['007', 'zero zero seven'],
    ]);
  });
});

describe('numbers in Chinese', () => {
  it('counts', () => {
    check(zh.cardinal, [
      ['0', '零'],
      ['00', '零'],
      ['2', '二'],
      ['10', '十'],
      ['12', '十二'],
      ['20', '二十'],
      ['22', '二十二'],
      ['100', '一百'],
      ['102', '一百零二'],
      ['110', '一百一十'],
      ['200', '两百'],
      ['222', '两百二十二'],
      ['1001', '一千零一'],
      ['1010', '一千零一十'],
      ['2000', '两千'],
      ['10000', '一万'],
      ['10010', '一万零一十'],
      ['12000', '一万两千'],
      ['20000', '两万'],
      ['100000', '十万'],
      ['100200', '十万零两百'],
      ['120,000,000', '一亿两千万'],
      ['100000001', '一亿零一'],
      ['100010000', '一亿零一万'],
      ['10000000000', '一百亿'],
      ['9999999999999999', '九千九百九十九万亿九千九百九十九亿九千九百九十九万九千九百九十九'],
      ['12345678901234567', zh.spell('12345678901234567')],
    ]);
  });

  it('says decimals, digits, and 两 before what is counted', () => {
    check(zh.decimal, [
      ['3.14', '三点一四'],
      ['0.5', '零点五'],
      ['1,000.05', '一千点零五'],
    ]);
    check(zh.spell, [['2025', '二零二五']]);
    check(zh.spellPhone, [['138-1111', '幺三八幺幺幺幺']]);
    check(zh.counted, [
      ['2', '两'],
      ['12', '十二'],
      ['2.5', '二点五'],
    ]);
  });
});
