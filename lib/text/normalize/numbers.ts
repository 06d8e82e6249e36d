/** Numbers that no date, measure or address has taken: telephones, ranges, fractions, counts. */
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

const phoneInEnglish: Speak = (_groups, whole) =>
  whole
    .replace('+', 'plus ')
    .replace(/[(]/g, '')
    .trim()
    .split(/[\s().-]+/)
    .map((part) => part.replace(/\d+/, (digits) => en.spell(digits)))
    .join(', ')
    .replace('plus, ', 'plus ');
const phoneInChinese: Speak = (_groups, whole) =>
  (whole.startsWith('+') ? '加' : '') + zh.spellPhone(whole);

const phone = (source: string): Rule => ({
  pattern: pattern(String.raw`(?<![\d\p{Script=Latin}.,/\-])${source}(?![\d]|[-./]\d)`),
  en: phoneInEnglish,
  zh: phoneInChinese,
});

const fractionsInEnglish: Speak = ([whole, above = '', below = '']) => {
  if (Number(below) === 0) return undefined;
  const half = below === '2';
  const one = above === '1';
  let said: string;
  if (half) said = one ? 'half' : `${en.cardinal(above)} halves`;
  else if (below === '4') said = `${en.cardinal(above)} quarter${one ? '' : 's'}`;
  else said = `${en.cardinal(above)} ${en.ordinal(below)}${one ? '' : 's'}`;
  if (whole !== undefined) return `${en.cardinal(whole)} and ${half && one ? 'a ' : ''}${said}`;
  return half && one ? 'one half' : said;
};

/** What is written with a slash and is no fraction. */
const plainPairs = new Set(['24/7', '9/11', '50/50']);

const SIMPLE: Readonly<Record<string, readonly [string, string]>> = {
  '½': ['1', '2'],
  '⅓': ['1', '3'],
  '⅔': ['2', '3'],
  '¼': ['1', '4'],
  '¾': ['3', '4'],
};

/** What things are counted by; before these "2" is 两. 月, 日, 号, 楼 and the like name one by number. */
const COUNTED =
  '个|只|条|张|本|位|名|次|年|天|周|小时|分钟|秒|点|岁|块|元|角|毛|斤|公斤|千克|克|吨|米|公里|里|厘米|升|度|倍|份|件|套|台|辆|架|艘|把|支|枝|根|棵|朵|头|匹|家|间|座|栋|所|层|句|段|篇|首|部|种|类|样|遍|趟|回|场|顿|杯|瓶|碗|盒|包|袋|箱|双|对|副|群|组|批|排|行|列|人|口|颗|粒|滴|片|块钱|百|千|万|亿|者|边|国|军|地|侧|端|页|步|声|眼|项|届|则|笔|枚|道|门|代|世纪|星期|礼拜|个月';

const englishNumber: Speak = ([sign, number = '']) => {
  const digits = number.replaceAll(',', '');
  const [integer = ''] = digits.split('.', 1);
  // Codes: with a zero first, or longer than what is counted.
  const code = !number.includes(',') && (/^0\d/.test(integer) || integer.length > 9);
  return (
    englishSign(sign) + (code && !digits.includes('.') ? en.spell(digits) : en.decimal(digits))
  );
};

const chineseNumber: Speak = ([sign, number = '']) => {
  const digits = number.replaceAll(',', '');
  const [integer = ''] = digits.split('.', 1);
  const code = !number.includes(',') && (/^0\d/.test(integer) || integer.length > 10);
  return (
    chineseSign(sign) + (code && !digits.includes('.') ? zh.spell(digits) : zh.decimal(digits))
  );
};

export const phoneRules: readonly Rule[] = [
  phone(String.raw`\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,5}`),
  phone(String.raw`(?:1[ .-])?(?:\(\d{3}\)\s?|\d{3}[ .-])\d{3}[ .-]\d{4}`),
  phone(String.raw`\d{3}-\d{4}`),
  phone(String.raw`(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}|[48]00-\d{3,4}-\d{3,4}|0\d{2,3}-\d{7,8})`),
  {
    pattern: pattern(
      String.raw`(?<=(?:电话|手机|热线|拨打|致电|号码|QQ|微信)(?:是|为|号|：|:|\s){0,3})\d{3,15}${END}`,
    ),
    zh: phoneInChinese,
  },
  {
    pattern: pattern(String.raw`(?<=(?:比分|以))(\d{1,3})\s?[-–:：比]\s?(\d{1,3})(?![\d-])`),
    zh: ([a = '', b = '']) => `${zh.cardinal(a)}比${zh.cardinal(b)}`,
  },
];

/** To come before years and measures, which are on both sides of the dash. */
export const rangeRules: readonly Rule[] = [
  {
    pattern: pattern(String.raw`(?<=\d)\s[-−–]\s(?=\d[\d,.]{0,20}\s?=)`),
    en: () => ' minus ',
    zh: () => '减',
  },
  {
    // Only the dash of a range: what is on its sides has rules of its own.
    pattern: pattern(
      String.raw`(?<=(?<![\p{Script=Latin}\d.,\-–])[$€£¥￥]?\d[\d,.]{0,12}[%％‰°℃]?C?)\s?[-–—~～]\s?(?=[$€£¥￥]?\d[\d,.]*(?![\d\-–]*[-–]\d)(?!\p{Script=Latin}+\d))`,
    ),
    en: () => ' to ',
    zh: () => '到',
  },
];

export const numberRules: readonly Rule[] = [
  {
    pattern: pattern(String.raw`(?<![\d.:：])(\d{1,4})[:：](\d{1,4})(?![\d:：.])`),
    en: ([a = '', b = '']) => `${en.cardinal(a)} to ${en.cardinal(b)}`,
    zh: ([a = '', b = '']) => `${zh.cardinal(a)}比${zh.cardinal(b)}`,
  },
  {
    pattern: pattern(String.raw`(?<![\d/.,])(?:(\d{1,3})\s)?(\d{1,3})/(\d{1,3})(?![\d/]|[.,]\d)`),
    en: ([whole, above = '', below = ''], all) => {
      if (plainPairs.has(all)) return `${en.cardinal(above)} ${en.cardinal(below)}`;
      if (Number(above) >= Number(below) || Number(below) > 100) {
        return `${whole === undefined ? '' : `${en.cardinal(whole)} `}${en.cardinal(above)} slash ${en.cardinal(below)}`;
      }
      if (whole === undefined && (below === '10' || below === '100')) {
        return `${en.cardinal(above)} out of ${en.cardinal(below)}`;
      }
      return fractionsInEnglish([whole, above, below], all);
    },
    zh: ([whole, above = '', below = '']) =>
      `${whole === undefined ? '' : `${zh.cardinal(whole)}又`}${zh.cardinal(below)}分之${zh.cardinal(above)}`,
  },
  {
    pattern: pattern(String.raw`(?:(?<![\d.,])(\d{1,6})\s?)?([½⅓⅔¼¾])`),
    en: ([whole, sign = ''], all) => fractionsInEnglish([whole, ...(SIMPLE[sign] ?? [])], all),
    zh: ([whole, sign = '']) => {
      const [above = '', below = ''] = SIMPLE[sign] ?? [];
      return `${whole === undefined ? '' : `${zh.cardinal(whole)}又`}${zh.cardinal(below)}分之${zh.cardinal(above)}`;
    },
  },
  {
    pattern: pattern(
      String.raw`${START}(?<!\p{Script=Latin})(\d{1,3}(?:,\d{3})+|\d+)(st|nd|rd|th)(?![\p{L}\d])`,
      'i',
    ),
    en: ([digits = '']) => en.ordinal(digits),
  },
  {
    pattern: pattern(String.raw`(?<=\d)\s?[x×✕]\s?(?=\d)`),
    en: () => ' by ',
    zh: () => '乘',
  },
  {
    // Versions, addresses of networks.
    pattern: pattern(String.raw`${START}\d+(?:\.\d+){2,}(?!\d)`),
    en: (_groups, whole) => whole.split('.').map(en.cardinal).join(' point '),
    zh: (_groups, whole) => whole.split('.').map(zh.cardinal).join('点'),
  },
  {
    // Names of roads and rooms.
    pattern: pattern(String.raw`${START}(\d{3,4})(?=路|室|房间|次列车|国道)`),
    zh: ([digits = '']) => zh.spell(digits),
  },
  {
    pattern: pattern(
      `${START}(?<![第零一二三四五六七八九十百千万亿点\\p{Script=Latin}-])2(?=${COUNTED})`,
    ),
    zh: () => '两',
  },
  {
    // Codes: "A380".
    pattern: pattern(String.raw`(?<=\p{Script=Latin})\d{3,}(?![\d]|\.\d)`),
    en: (_groups, whole) => en.spell(whole),
    zh: (_groups, whole) => zh.spell(whole),
  },
  { pattern: pattern(`(${SIGN})${START}(${NUMBER})`), en: englishNumber, zh: chineseNumber },
  // What is left: digits behind a point that belongs to no number.
  {
    pattern: pattern(String.raw`\d+`),
    en: (_groups, whole) => en.spell(whole),
    zh: (_groups, whole) => zh.spell(whole),
  },
];
