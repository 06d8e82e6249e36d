/** Abbreviations and acronyms of English. */
import { pattern, type Rule } from './rule.js';

const NAME = String.raw`(?=\s+\p{Lu})`;

/** Before a name. */
const TITLES: Readonly<Record<string, string>> = {
  Dr: 'Doctor',
  Mr: 'Mister',
  Mrs: 'Missus',
  Ms: 'Miz',
  Prof: 'Professor',
  Rev: 'Reverend',
  Gen: 'General',
  Col: 'Colonel',
  Capt: 'Captain',
  Lt: 'Lieutenant',
  Sgt: 'Sergeant',
  Sen: 'Senator',
  Rep: 'Representative',
  Gov: 'Governor',
  Hon: 'Honorable',
  Mt: 'Mount',
  Ft: 'Fort',
};

/** With their full stop, which goes. */
const ANYWHERE: Readonly<Record<string, string>> = {
  'e.g.': 'for example',
  'i.e.': 'that is',
  'etc.': 'et cetera',
  'vs.': 'versus',
  'approx.': 'approximately',
  'cf.': 'compare',
  'a.k.a.': 'also known as',
  'Jr.': 'Junior',
  'Sr.': 'Senior',
  'Inc.': 'Incorporated',
  'Ltd.': 'Limited',
  'Corp.': 'Corporation',
  'Bros.': 'Brothers',
  'Dept.': 'Department',
  'Ave.': 'Avenue',
  'Blvd.': 'Boulevard',
  'Rd.': 'Road',
  'Hwy.': 'Highway',
  'Ph.D.': 'P H D',
};

/** Before a number. */
const NUMBERED: Readonly<Record<string, string>> = {
  no: 'number',
  nos: 'numbers',
  vol: 'volume',
  fig: 'figure',
  figs: 'figures',
  p: 'page',
  pp: 'pages',
  ch: 'chapter',
  sec: 'section',
  eq: 'equation',
};

/** Said as words; all other short rows of capitals are said letter by letter, or are words in capitals. */
const PRONOUNCED =
  'NASA NATO UNESCO UNICEF OPEC ASAP AIDS SARS COVID LASER RADAR SONAR SCUBA FIFA UEFA NAFTA ASEAN ' +
  'BRICS IKEA LEGO GIF JPEG RAM ROM PIN SIM LAN WAN CAPTCHA MERS NOAA OSHA PETA SWAT TASER YOLO ' +
  'CUDA BIOS CAD LED';
const pronounced = new Set(PRONOUNCED.split(' '));

/** Words that people put in capitals for emphasis. */
const EMPHASIZED =
  'A I AM AN AND ANY ARE AS AT BAD BE BEEN BEST BIG BUT BUY BY CAN CALL COME DAY DID DO DONE DONT EACH ' +
  'END EVER EVERY FOR FREE FROM FULL FUN GET GO GOD GOOD GOT GREAT HAD HARD HAS HATE HAVE HE HELLO HELP ' +
  'HER HERE HEY HIM HIS HOT HOW IF IN IS IT ITS JUST KEEP KILL KNOW LAST LET LIKE LIVE LONG LOOK LOVE ' +
  'MADE MAKE MANY MAY ME MEN MORE MOST MUCH MUST MY NEED NEVER NEW NEXT NICE NO NONE NOT NOTE NOW OF OFF ' +
  'OH OLD ON ONE ONLY OPEN OR OUR OUT OVER OWN PLAY READ REAL RED RIGHT RUN SAD SAFE SAID SALE SAME SAW ' +
  'SAY SEE SHE SHOW SO SOME SOON STAY STILL STOP SUCH SURE TAKE TELL THAN THAT THE THEIR THEM THEN THERE ' +
  'THEY THIS TIME TO TODAY TOO TOP TRUE TRY TURN TWO UP USE USED VERY WAIT WANT WAR WAS WAY WE WELL WENT ' +
  'WERE WHAT WHEN WHERE WHO WHY WILL WIN WITH WON WORD WORK WORST YEAR YES YET YOU YOUR ZERO';
const emphasized = new Set(EMPHASIZED.split(' '));

/** Longer rows of capitals are words. */
const LONGEST_ACRONYM = 5;

function speakCapitals(word: string, plural: string): string | undefined {
  // Letter by letter it is said as the word.
  if (word === 'OK') return undefined;
  if (emphasized.has(word + plural.toUpperCase()) || word.length > LONGEST_ACRONYM) {
    return /[AEIOUY]/.test(word) ? word.toLowerCase() + plural : undefined;
  }
  if (pronounced.has(word)) return word.charAt(0) + word.slice(1).toLowerCase() + plural;
  return [...word].join(' ') + (plural === '' ? '' : `'${plural}`);
}

const escaped = (names: readonly string[]): string =>
  names.map((name) => name.replaceAll('.', '\\.')).join('|');

/** To come before numbers: "No. 5", "St. John". */
export const abbreviationRules: readonly Rule[] = [
  {
    pattern: pattern(`(?<![\\p{L}\\d.])(${Object.keys(TITLES).join('|')})\\.${NAME}`),
    en: ([title = '']) => TITLES[title],
  },
  {
    pattern: pattern(`(?<![\\p{L}\\d.])(Dr|Mr|Mrs|Ms)${NAME}`),
    en: ([title = '']) => TITLES[title],
  },
  {
    // "12 Main St." is a street, "St. John" a saint.
    // Looked for from its end: before every place it would take quadratic time on spaces.
    pattern: pattern(
      String.raw`(?<!\p{L})St\.(?:(?<=\d\s{1,3}(?:\p{Lu}\p{L}{0,30}\s{1,3}){1,3}St\.)|(?<=\p{Lu}\p{Ll}{1,30}\sSt\.)(?!\s+\p{Lu}))`,
    ),
    en: () => 'Street',
  },
  { pattern: pattern(String.raw`(?<!\p{L})St\.(?=\s+\p{Lu})`), en: () => 'Saint' },
  {
    pattern: pattern(`(?<![\\p{L}\\d.])(${escaped(Object.keys(ANYWHERE))})(?!\\p{L})(?:(\\s*$)|)`),
    // At the end the full stop is the sentence's, too.
    en: ([short = '', end]) =>
      ANYWHERE[short] === undefined
        ? undefined
        : ANYWHERE[short] + (end === undefined ? '' : `.${end}`),
  },
  { pattern: pattern(String.raw`(?<![\p{L}.])vs(?!\p{L})`), en: () => 'versus' },
  { pattern: pattern(String.raw`(?<![\p{L}\d/])w/o(?!\p{L})`), en: () => 'without' },
  { pattern: pattern(String.raw`(?<![\p{L}\d/])w/(?=\s)`), en: () => 'with' },
  {
    pattern: pattern(`(?<![\\p{L}\\d.])(${Object.keys(NUMBERED).join('|')})\\.\\s*(?=\\d)`, 'i'),
    en: ([short = ''], whole) => {
      const word = NUMBERED[short.toLowerCase()];
      if (word === undefined) return undefined;
      const capital = /^\p{Lu}/u.test(whole);
      return `${capital ? word.charAt(0).toUpperCase() + word.slice(1) : word} `;
    },
  },
  {
    // "U.S.A.", "J. K. Rowling": without full stops, which end sentences.
    pattern: pattern(String.raw`(?<![\p{L}\d.])((?:\p{Lu}\.){2,8})(?:(\s*$)|)`),
    en: ([letters = '', end]) =>
      letters.slice(0, -1).split('.').join(' ') + (end === undefined ? '' : `.${end}`),
  },
  {
    pattern: pattern(String.raw`(?<![\p{L}\d.])((?:\p{Lu}\.\s){2,4})(?=\p{Lu}\p{Ll})`),
    en: ([initials = '']) => initials.replaceAll('.', ''),
  },
];

/** To come last: what they make has no digits. */
export const acronymRules: readonly Rule[] = [
  {
    pattern: pattern(String.raw`(?<!\p{L})([Cc])\+\+`),
    en: () => 'C plus plus',
    zh: () => 'C加加',
  },
  {
    pattern: pattern(String.raw`(?<!\p{L})([CF])#(?![\p{L}\d])`),
    en: ([letter]) => `${letter ?? ''} sharp`,
  },
  {
    // Sentences in capitals: F5-TTS says capitals letter by letter.
    pattern: pattern(
      String.raw`(?<!\p{L})\p{Lu}{2,}(?:['’]\p{Lu}+)?(?:[ ,]+\p{Lu}{1,}(?:['’]\p{Lu}+)?(?!\p{L})){3,}`,
    ),
    en: (_groups, whole) =>
      whole.replace(/\p{Lu}+/gu, (word) => (word === 'I' ? word : word.toLowerCase())),
  },
  {
    pattern: pattern(String.raw`(?<![\p{L}\p{M}'’])([A-Z]{2,})(s?)(?![\p{L}\p{M}\d])`),
    en: ([word = '', plural = '']) => speakCapitals(word, plural),
  },
];
