/** What rules of text normalization are made of. */

/** English, Chinese, or another language, which is left as it is. */
export type Tongue = 'en' | 'zh' | 'other';

/** What a match is said as; undefined leaves it as it is. */
export type Speak = (groups: readonly (string | undefined)[], whole: string) => string | undefined;

export interface Rule {
  /** Global. A match in which digits are must not begin or end within a row of digits. */
  pattern: RegExp;
  en?: Speak;
  zh?: Speak;
}

/** A number as it is written: "1,234.5", "12", ".5" is none. Has no groups. */
export const NUMBER = String.raw`(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?`;
/** Before a number: nothing that it is the rest of. */
export const START = String.raw`(?<![\d.]|\d,)`;
/** Behind a number: nothing that it goes on with. */
export const END = String.raw`(?![\d]|[.,]\d)`;
/** A sign is one where no number and no Latin letter stands right before it. */
export const SIGN = String.raw`(?:(?<![\p{Script=Latin}\p{N}.)\]%])[-−–+±])?`;

export const pattern = (source: string, flags = ''): RegExp => new RegExp(source, `gu${flags}`);

const SIGNS: Readonly<Record<string, readonly [en: string, zh: string]>> = {
  '-': ['minus ', '负'],
  '−': ['minus ', '负'],
  '–': ['minus ', '负'],
  '+': ['plus ', '正'],
  '±': ['plus or minus ', '正负'],
};

export const englishSign = (sign: string | undefined): string => SIGNS[sign ?? '']?.[0] ?? '';
export const chineseSign = (sign: string | undefined): string => SIGNS[sign ?? '']?.[1] ?? '';
