/** Money, percentages and measures. */
import * as zh from './chinese_numbers.js';
import * as en from './english_numbers.js';
import {
  END,
  NUMBER,
  SIGN,
  START,
  chineseSign,
  englishSign,
  pattern,
  type Rule,
  type Speak,
} from './rule.js';
import { CURRENCIES, MAGNITUDES, UNITS } from './units.js';

const escape = (text: string): string => text.replace(/[$/.*+?^|()[\]{}\\]/g, '\\$&');
const anyOf = (names: readonly string[]): string =>
  [...names]
    .sort((a, b) => b.length - a.length)
    .map(escape)
    .join('|');

const symbols = anyOf(Object.keys(CURRENCIES).filter((name) => !/^[A-Z]+$/.test(name)));
const codes = anyOf(Object.keys(CURRENCIES).filter((name) => /^[A-Z]+$/.test(name)));
const magnitudes = anyOf(Object.keys(MAGNITUDES));
/** Words of amounts in Chinese, which stay where they are. */
const CHINESE_AMOUNTS = '千万|百万|万亿|千|万|亿';

const isOne = (number: string): boolean => /^1(?:\.0+)?$/.test(number);

const englishMoney: Speak = ([sign, symbol = '', number = '', magnitude]) => {
  const currency = CURRENCIES[symbol];
  if (currency === undefined) return undefined;
  const before = englishSign(sign);
  const large = MAGNITUDES[magnitude ?? '']?.[0];
  if (large !== undefined) return `${before}${en.decimal(number)} ${large} ${currency.many}`;
  const [whole = '0', fraction = ''] = number.split('.', 2);
  const amount = `${en.cardinal(whole)} ${isOne(whole) ? currency.one : currency.many}`;
  const { small } = currency;
  if (small === undefined || !/^\d\d$/.test(fraction)) {
    const said = /^0*$/.test(fraction) ? amount : `${en.decimal(number)} ${currency.many}`;
    return before + said;
  }
  if (fraction === '00') return before + amount;
  const rest = `${en.cardinal(String(Number(fraction)))} ${small[fraction === '01' ? 0 : 1]}`;
  return before + (/^0+$/.test(whole) ? rest : `${amount} and ${rest}`);
};

const chineseMoney: Speak = ([sign, symbol = '', number = '', magnitude = '']) => {
  const currency = CURRENCIES[symbol];
  if (currency === undefined) return undefined;
  const large = MAGNITUDES[magnitude]?.[1] ?? magnitude;
  return `${chineseSign(sign)}${zh.counted(number.replace(/\.0+$|(?<=\.\d+)0+$/, ''))}${large}${currency.chinese}`;
};

/** With the number before the currency's name. */
const turned =
  (speak: Speak): Speak =>
  ([sign, number, magnitude, symbol], whole) =>
    speak([sign, symbol, number, magnitude], whole);

const units = anyOf(Object.keys(UNITS));
/** Letters alone, after a space, would often be something else: "5 A", "2 T". */
const attached = (name: string): boolean => /^[A-Zlsh]$/.test(name);

export const quantityRules: readonly Rule[] = [
  {
    pattern: pattern(
      `(${SIGN})(?<![\\p{Script=Latin}\\d$])(${symbols})\\s?(${NUMBER})(?:\\s?(${magnitudes}|${CHINESE_AMOUNTS}))?(?![A-Za-z])${END}`,
    ),
    en: englishMoney,
    zh: chineseMoney,
  },
  {
    pattern: pattern(
      `(${SIGN})${START}(?<!\\p{Script=Latin})(${NUMBER})\\s?(${magnitudes}|${CHINESE_AMOUNTS})?\\s?(${codes}|[€£])(?![\\p{L}\\d])`,
    ),
    en: turned(englishMoney),
    zh: turned(chineseMoney),
  },
  {
    pattern: pattern(`(${SIGN})${START}(${NUMBER})\\s?([%％‰])`),
    en: ([sign, number = '', mark]) =>
      `${englishSign(sign)}${en.decimal(number)} ${mark === '‰' ? 'per mille' : 'percent'}`,
    zh: ([sign, number = '', mark]) =>
      `${mark === '‰' ? '千' : '百'}分之${chineseSign(sign)}${zh.decimal(number)}`,
  },
  {
    pattern: pattern(
      `(${SIGN})${START}(?<!\\p{Script=Latin})(${NUMBER})(\\s?)(${units})(?![A-Za-z\\d²³/°'’])`,
    ),
    en: ([sign, number = '', space, name = '']) => {
      const unit = UNITS[name];
      if (unit === undefined || (space !== '' && attached(name))) return undefined;
      return `${englishSign(sign)}${en.decimal(number)} ${unit[isOne(number) ? 0 : 1]}`;
    },
    zh: ([sign, number = '', space, name = '']) => {
      const unit = UNITS[name];
      if (unit === undefined || (space !== '' && attached(name))) return undefined;
      const below = /[°℃℉]/.test(name) && /[-−–]/.test(sign ?? '');
      return (below ? '零下' : chineseSign(sign)) + zh.counted(number) + unit[2];
    },
  },
  {
    // "5M users", "200k"; with a small k, for "4K" is a name.
    pattern: pattern(`${START}(?<!\\p{Script=Latin})(${NUMBER})(k|M|B|bn)(?![\\p{L}\\d/])`),
    en: ([number = '', name = '']) => `${en.decimal(number)} ${MAGNITUDES[name]?.[0] ?? name}`,
  },
];
