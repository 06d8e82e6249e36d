/**
 * Writes out what a voice would stumble over: numbers, dates, times, money, measures, abbreviations,
 * addresses and signs, in English or Chinese as what stands around it is. Other languages, and Japanese
 * with its Chinese characters, are left as they are: a wrong word is worse than a digit.
 */
import { addressRules } from './addresses.js';
import { dateRules, yearRules } from './dates.js';
import { numberRules, phoneRules, rangeRules } from './numbers.js';
import { quantityRules } from './quantities.js';
import type { Rule, Tongue } from './rule.js';
import { symbolRules } from './symbols.js';
import { abbreviationRules, acronymRules } from './words.js';

/** In this order: each finds what those before it have left. */
const rules: readonly Rule[] = [
  ...[...addressRules, ...abbreviationRules, ...dateRules, ...phoneRules, ...rangeRules],
  ...[...yearRules, ...symbolRules, ...quantityRules, ...numberRules, ...acronymRules],
];

/** What is looked at on each side to tell the language. */
const CONTEXT = 80;
/** What any of the rules begins with; most texts have little of it. */
const interesting =
  /[\d½⅓⅔¼¾&@#+=*`©®™÷×≈≠≤≥<>§%/]|\p{Lu}\p{Lu}|\p{Lu}\.|\p{L}\.|(?:Dr|Mr|Mrs|Ms|vs)\s|www/u;

/**
 * @param language code of the text's, as "en" or "zh-CN", for what its script does not tell; of others
 * than English and Chinese what is in their script is left alone.
 */
export function normalizeText(text: string, language?: string): string {
  const plain = halfWidth(text);
  if (!interesting.test(plain)) return plain;
  const tongues = tonguesOf(plain, language);
  let result = plain;
  for (const rule of rules) result = apply(rule, result, tongues);
  return result;
}

/** Digits, letters and signs of East Asian width as others are; punctuation stays Chinese. */
function halfWidth(text: string): string {
  if (!/[\uff00-\uff5e]/.test(text)) return text;
  return text
    .replace(/(?<=[０-９\d])．(?=[０-９\d])|－(?=[０-９\d])/g, (sign) => sign.normalize('NFKC'))
    .replace(/[０-９Ａ-Ｚａ-ｚ％＋＝＠＃＆＄]/g, (character) => character.normalize('NFKC'));
}

interface Tongues {
  latin: Tongue;
  han: Tongue;
  /** Where no letter is near. */
  none: Tongue;
}

function tonguesOf(text: string, language: string | undefined): Tongues {
  const code = language?.toLowerCase().split(/[-_]/, 1)[0];
  const english = code === undefined || code === 'en' || code === 'zh' || code === 'yue';
  const kana = /[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text);
  const chinese = english && !kana;
  const latin = english ? 'en' : 'other';
  const han = chinese ? 'zh' : 'other';
  if (code === 'en') return { latin, han, none: 'en' };
  if (code === 'zh' || code === 'yue') return { latin, han, none: han };
  if (code !== undefined) return { latin, han, none: 'other' };
  const [first] = /\p{L}/u.exec(text) ?? [];
  if (/\p{Script=Han}/u.test(text)) return { latin, han, none: han };
  const none = first === undefined || isLatin(first) ? latin : 'other';
  return { latin, han, none };
}

const isLatin = (letter: string): boolean => /\p{Script=Latin}/u.test(letter);

function apply(rule: Rule, text: string, tongues: Tongues): string {
  return text.replace(rule.pattern, (...found: unknown[]) => {
    const whole = found[0] as string;
    const end = found.findIndex((value) => typeof value === 'number');
    const groups = found.slice(1, end) as (string | undefined)[];
    const offset = found[end] as number;
    const tongue = tongueAt(text, offset, offset + whole.length, tongues);
    const said = tongue === 'other' ? undefined : rule[tongue]?.(groups, whole);
    if (said === undefined) return whole;
    return tongue === 'en' ? setOff(said, text, offset, offset + whole.length) : said;
  });
}

/** Words are set off from letters that stood right beside the number: "MP3" is "MP three". */
function setOff(said: string, text: string, start: number, end: number): string {
  const joins = (a: string, b: string): boolean =>
    /[\p{L}\p{N}]$/u.test(a) && /^[\p{L}\p{N}]/u.test(b);
  const before = joins(text.slice(Math.max(0, start - 2), start), said) ? ' ' : '';
  const after = joins(said, text.slice(end, end + 2)) ? ' ' : '';
  return before + said + after;
}

/**
 * The language of the letters next to a place in the text: Chinese where either is. Between Latin ones,
 * as in "iPhone 15 Pro", that of most of the sentence.
 */
function tongueAt(text: string, start: number, end: number, tongues: Tongues): Tongue {
  const before = text.slice(Math.max(0, start - CONTEXT), start);
  const after = text.slice(end, end + CONTEXT);
  const near = [...(before.match(/\p{L}(?=\P{L}*$)/u) ?? []), ...(after.match(/\p{L}/u) ?? [])];
  if (near.some((letter) => han.test(letter))) return tongues.han;
  if (near.length === 0) return tongues.none;
  if (!near.every(isLatin)) return 'other';
  const sentence = [before.split(sentenceEnd).at(-1) ?? '', after.split(sentenceEnd, 1)[0] ?? ''];
  const characters = sentence.join(' ').match(hanAll)?.length ?? 0;
  const words = sentence.join(' ').match(/\p{Script=Latin}+/gu)?.length ?? 0;
  return characters > words ? tongues.han : tongues.latin;
}

const han = /\p{Script=Han}/u;
const hanAll = /\p{Script=Han}/gu;
const sentenceEnd = /[。！？!?\n]|\.\s/;
