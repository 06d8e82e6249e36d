/** Dates, years and times of day. */
import * as zh from './chinese_numbers.js';
import * as en from './english_numbers.js';
import { pattern, type Rule } from './rule.js';

const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September'],
  ...['October', 'November', 'December'],
];
const NAMES =
  'January|February|March|April|May|June|July|August|September|October|November|December|' +
  'Jan\\.?|Feb\\.?|Mar\\.?|Apr\\.?|Jun\\.?|Jul\\.?|Aug\\.?|Sept?\\.?|Oct\\.?|Nov\\.?|Dec\\.?';
const RANGE = String.raw`\s?[-–—~～]\s?`;
/** Its last full stop may be the sentence's. */
const HALF = String.raw`[aApP]\.[mM](?:\.(?!\s*$|\s+\p{Lu}))?|[aApP][mM]\b`;
const APART = String.raw`(?<![\d/.\-:])`;
const ALONE = String.raw`(?![\d/\-:]|\.\d)`;

function monthName(name: string | undefined): string {
  return MONTHS.find((month) => month.startsWith(name?.slice(0, 3) ?? '?')) ?? name ?? '';
}

/** A day that the calendar may have. */
function isDay(month: number, day: number): boolean {
  const days = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day >= 1 && day <= (days[month - 1] ?? 0);
}

function englishDate(year: string, month: number, day: number): string | undefined {
  if (!isDay(month, day)) return undefined;
  return `${MONTHS[month - 1] ?? ''} ${en.ordinal(String(day))}, ${en.year(year)}`;
}

function chineseDate(year: string, month: number, day: number): string | undefined {
  if (!isDay(month, day)) return undefined;
  return `${zh.spell(year)}年${zh.cardinal(String(month))}月${zh.cardinal(String(day))}日`;
}

/** Two digits of a year are of the last century where they would be far ahead. */
function fullYear(digits: string): string {
  if (digits.length !== 2) return digits;
  return (Number(digits) < 50 ? '20' : '19') + digits;
}

type WriteDate = typeof englishDate;

/** "3/4/2025": the month first, as in America, where it can be. */
const slashed =
  (write: WriteDate) =>
  ([a = '', b = '', year = '']: readonly (string | undefined)[]): string | undefined => {
    const [first, second] = [Number(a), Number(b)];
    return write(fullYear(year), first, second) ?? write(fullYear(year), second, first);
  };

const ordered =
  (write: WriteDate) =>
  ([year = '', month, day, , time]: readonly (string | undefined)[]): string | undefined => {
    const date = write(year, Number(month), Number(day));
    return date === undefined ? undefined : date + (time === undefined ? '' : ' ');
  };

/** "4.3.2025": the day first, as in Europe. */
const dotted =
  (write: WriteDate) =>
  ([day, month, year = '']: readonly (string | undefined)[]): string | undefined =>
    write(year, Number(month), Number(day));

const isTime = (hour: string | undefined, minute = '0', second = '0'): boolean =>
  Number(hour) <= 24 && Number(minute) < 60 && Number(second) < 60;

function englishTime([hour = '', minute, second, half]: readonly (string | undefined)[]):
  string | undefined {
  if (!isTime(hour, minute, second)) return undefined;
  const letter = half?.slice(0, 1).toUpperCase();
  const words = [en.cardinal(hour)];
  if (minute !== undefined && Number(minute) > 0) {
    words.push(minute.startsWith('0') ? `oh ${en.cardinal(minute)}` : en.cardinal(minute));
  } else if (letter === undefined) {
    words.push("o'clock");
  }
  if (second !== undefined && Number(second) > 0) {
    words.push(`and ${en.cardinal(second)} second${Number(second) === 1 ? '' : 's'}`);
  }
  if (letter !== undefined) words.push(`${letter} M`);
  return words.join(' ');
}

function chineseTime([hour = '', minute = '', second]: readonly (string | undefined)[]):
  string | undefined {
  if (!isTime(hour, minute, second)) return undefined;
  const small = (digits: string): string =>
    (/^0[1-9]/.test(digits) ? '零' : '') + zh.cardinal(digits);
  const words = `${zh.counted(String(Number(hour)))}点`;
  if (Number(minute) === 0 && !Number(second)) return `${words}整`;
  return `${words}${small(minute)}分${Number(second) > 0 ? `${small(second ?? '')}秒` : ''}`;
}

const CENTURY = '(1[1-9]\\d\\d|20\\d\\d)';

export const dateRules: readonly Rule[] = [
  {
    pattern: pattern(String.raw`${APART}(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:(T)(?=\d)|${ALONE})`),
    en: ([y, , m, d, t]) => ordered(englishDate)([y, m, d, undefined, t]),
    zh: ([y, , m, d, t]) => ordered(chineseDate)([y, m, d, undefined, t]),
  },
  {
    pattern: pattern(String.raw`${APART}(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})${ALONE}`),
    en: slashed(englishDate),
    zh: slashed(chineseDate),
  },
  {
    pattern: pattern(String.raw`${APART}(\d{1,2})\.(\d{1,2})\.(\d{4})${ALONE}`),
    en: dotted(englishDate),
    zh: dotted(chineseDate),
  },
  {
    // "March 4th, 2025", "Mar. 4". May is a verb, too: "may 5 people come".
    pattern: pattern(
      String.raw`(?<=(\b(?:on|by|since|until|from|to|before|after|of|this|last|next|early|late)\s)?)(?<![\p{L}\d])(${NAMES})\s+(\d{1,2})(st|nd|rd|th)?(?:,?\s+(\d{4}))?(?![\d/:%]|[.,]\d|\s?(?:%|[ap]\.?m\b))(?=(\s+\p{Ll})?)`,
    ),
    en: ([before, name, day = '', suffix, year, after]) => {
      if (Number(day) < 1 || Number(day) > 31) return undefined;
      const sure = before !== undefined || (suffix ?? year) !== undefined || after === undefined;
      if (name === 'May' && !sure) return undefined;
      const date = `${monthName(name)} ${en.ordinal(day)}`;
      return year === undefined ? date : `${date}, ${en.year(year)}`;
    },
  },
  {
    // "4 March 2025", "the 4th of March".
    pattern: pattern(
      String.raw`(?<![\d/.:,$€£-])(\bthe\s+)?(\d{1,2})(st|nd|rd|th)?\s+(?:of\s+)?(${NAMES})(?:,?\s+(\d{4}))?(?![\p{L}\d])`,
      'i',
    ),
    en: ([, day = '', suffix, name = '', year], whole) => {
      // "5 may come": without a capital it is no month.
      if (Number(day) < 1 || Number(day) > 31 || !/^\p{Lu}/u.test(name)) return undefined;
      if (/^may$/i.test(name) && suffix === undefined && year === undefined && !/of/.test(whole)) {
        return undefined;
      }
      const the = /^the/i.exec(whole)?.[0] ?? 'the';
      const date = `${the} ${en.ordinal(day)} of ${monthName(name)}`;
      return year === undefined ? date : `${date}, ${en.year(year)}`;
    },
  },
  {
    pattern: pattern(String.raw`(?<!\p{L})(${NAMES}),?\s+${CENTURY}(?![\d%]|[.,]\d)`),
    en: ([name, digits = '']) => `${monthName(name)} ${en.year(digits)}`,
  },
  {
    // From one time or year to another: only the dash.
    pattern: pattern(
      String.raw`(?<=\d[:：]\d\d(?:\s?[ap]\.?m\.?)?)${RANGE}(?=\d{1,2}[:：]\d\d)`,
      'i',
    ),
    en: () => ' to ',
    zh: () => '到',
  },
  {
    pattern: pattern(
      String.raw`(?<![\d:：.])(\d{1,2})[:：](\d\d)(?:[:：](\d\d))?(?:\s?(${HALF}))?(?![\d:：]|\.\d)`,
    ),
    en: englishTime,
    zh: chineseTime,
  },
  {
    pattern: pattern(String.raw`(?<![\d:.,])(\d{1,2})\s?(${HALF})`),
    en: ([hour, half]) => englishTime([hour, undefined, undefined, half]),
  },
];

export const yearRules: readonly Rule[] = [
  {
    pattern: pattern(String.raw`(?<!\d)(\d{4})(?:${RANGE}|至|到)(\d{4})(?=年)`),
    zh: ([from = '', to = '']) => `${zh.spell(from)}到${zh.spell(to)}`,
  },
  {
    // 2000年前 counts years; 2015年前 is before one.
    pattern: pattern(String.raw`(?<![\d.,])(\d{4})(?=年)(?!(?<=000)年(?:前|来|历史|多))`),
    zh: ([digits = '']) => zh.spell(digits),
  },
  {
    pattern: pattern(String.raw`(?<![\d.,\p{L}])['’]?(\d{4}|\d0)['’]?s(?!\p{L})`),
    en: ([digits = '']) => en.decade(digits),
  },
  {
    // Years of these two centuries, and others where a word says so.
    pattern: pattern(
      String.raw`(?:(?<![\d.,$€£¥#\-/\p{L}]|\d\s)(19\d\d|20\d\d)|(?<=\b(?:in|since|of|from|to|until|till|by|before|after|year|around|circa)\s)${CENTURY})(?![\d%°/x×]|[.,:]\d|\s?(?:%|°|(?:km|kg|cm|mm|m|g|ml|l|mph|kmh|dollars|euros|pounds|people|times|miles|years|percent|degrees)\b))`,
    ),
    en: ([near, named]) => en.year(near ?? named ?? ''),
  },
];
