/** Signs between words and numbers that are said, or are there for the eye alone. */
import { pattern, type Rule } from './rule.js';

const between = (sign: string): RegExp =>
  pattern(String.raw`(?<=[\p{L}\p{N})%°])\s?${sign}\s?(?=[\p{L}\p{N}(])`);

const infix = (sign: string, english: string, chinese: string): Rule => ({
  pattern: between(sign),
  en: () => ` ${english} `,
  zh: () => chinese,
});

const before = (sign: string, next: string, english: string, chinese: string): Rule => ({
  pattern: pattern(String.raw`(?<![\p{L}\p{N}])${sign}\s?(?=${next})`),
  en: () => `${english} `,
  zh: () => chinese,
});

export const symbolRules: readonly Rule[] = [
  // Emphasis of Markdown, and signs that name an owner.
  {
    pattern: pattern(String.raw`(?<![*\p{N}])\*{1,3}(?![*\s\p{N}])|(?<![*\s\p{N}])\*{1,3}(?!\*)`),
    en: () => '',
    zh: () => '',
  },
  { pattern: pattern('[`©®™]'), en: () => '', zh: () => '' },
  { pattern: pattern(String.raw`(?<=\d)\s?\*\s?(?=\d)`), en: () => ' times ', zh: () => '乘' },
  {
    pattern: pattern(String.raw`(?<![\p{L}\d])([A-Z]{1,3})&([A-Z]{1,3})(?![\p{L}\d])`),
    en: ([a = '', b = '']) => `${[...a].join(' ')} and ${[...b].join(' ')}`,
  },
  infix('&', 'and', '和'),
  // C++ has a name of its own.
  infix('(?<!\\+)\\+(?!\\+)', 'plus', '加'),
  { pattern: pattern(String.raw`(?<=\d)\+(?![\p{L}\p{N}+])`), en: () => ' plus', zh: () => '多' },
  infix('(?<![=<>!])=(?!=)', 'equals', '等于'),
  infix('÷', 'divided by', '除以'),
  infix('[×✕]', 'times', '乘'),
  infix('≈', 'is about', '约等于'),
  infix('≠', 'is not equal to', '不等于'),
  infix('(?:≤|<=)', 'is at most', '小于等于'),
  infix('(?:≥|>=)', 'is at least', '大于等于'),
  {
    pattern: pattern(String.raw`(?<=\p{N})\s?<\s?(?=\p{N})`),
    en: () => ' is less than ',
    zh: () => '小于',
  },
  {
    pattern: pattern(String.raw`(?<=\p{N})\s?>\s?(?=\p{N})`),
    en: () => ' is greater than ',
    zh: () => '大于',
  },
  before('[~～≈]', '[$€£¥￥]?\\d', 'about', '约'),
  before('[<＜]', '[$€£¥￥]?\\d', 'less than', '小于'),
  before('[>＞]', '[$€£¥￥]?\\d', 'more than', '大于'),
  before('§', '\\d', 'section', '第'),
  before('#', '\\d', 'number', ''),
  before('#', '\\p{L}', 'hashtag', ''),
  { pattern: pattern('#'), zh: () => '' },
  {
    pattern: pattern(String.raw`(?<![\p{L}\p{N}])@(?=[\p{L}\p{N}_])|\s@\s`),
    en: (_groups, whole) => (whole === '@' ? 'at ' : ' at '),
    zh: () => '艾特',
  },
  // "he/she", "TCP/IP".
  { pattern: pattern(String.raw`(?<=[Aa]nd)/(?=or)`), en: () => ' ' },
  { pattern: pattern(String.raw`(?<=\p{Ll}{2})/(?=\p{Ll}{2})`), en: () => ' or ' },
  { pattern: pattern(String.raw`(?<=\p{Lu}{2})/(?=\p{Lu}{2})`), en: () => ' ' },
];
