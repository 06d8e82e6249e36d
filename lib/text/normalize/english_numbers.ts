/** Numbers in English words. Digits come as strings, so that no length is too long. */
const ONES = [
  ...['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'],
  ...['eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen'],
  'nineteen',
];
const TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');
const GROUPS = ['', ' thousand', ' million', ' billion', ' trillion'];

/** More are said one by one: nobody says "four quintillion". */
const MAX_DIGITS = 15;

function belowHundred(value: number): string {
  if (value < 20) return ONES[value] ?? '';
  const tens = TENS[Math.floor(value / 10) - 2] ?? '';
  return value % 10 === 0 ? tens : `${tens}-${ONES[value % 10] ?? ''}`;
}

function belowThousand(value: number): string {
  if (value < 100) return belowHundred(value);
  const hundreds = `${ONES[Math.floor(value / 100)] ?? ''} hundred`;
  return value % 100 === 0 ? hundreds : `${hundreds} ${belowHundred(value % 100)}`;
}

/** "42" is "forty-two"; commas between the digits do not count. */
export function cardinal(digits: string): string {
  const plain = digits.replaceAll(',', '');
  if (plain.length > MAX_DIGITS) return spell(plain);
  const value = Number(plain);
  if (value === 0) return 'zero';
  const words: string[] = [];
  for (let rest = value, group = 0; rest > 0; rest = Math.floor(rest / 1000), group++) {
    const part = rest % 1000;
    if (part > 0) words.unshift(belowThousand(part) + (GROUPS[group] ?? ''));
  }
  return words.join(' ');
}

const IRREGULAR: Readonly<Record<string, string>> = {
  one: 'first',
  two: 'second',
  three: 'third',
  five: 'fifth',
  eight: 'eighth',
  nine: 'ninth',
  twelve: 'twelfth',
};

/** "21" is "twenty-first". */
export function ordinal(digits: string): string {
  return cardinal(digits).replace(
    /[a-z]+$/,
    (last) => IRREGULAR[last] ?? (last.endsWith('y') ? `${last.slice(0, -1)}ieth` : `${last}th`),
  );
}

/** Digit by digit. */
export function spell(digits: string): string {
  return Array.from(digits, (digit) => ONES[Number(digit)] ?? digit).join(' ');
}

/** "3.14" is "three point one four", ".5" is "zero point five". */
export function decimal(number: string): string {
  const [whole = '', fraction] = number.split('.', 2);
  const said = /^0\d/.test(whole) ? spell(whole) : cardinal(whole || '0');
  return fraction === undefined || fraction === '' ? said : `${said} point ${spell(fraction)}`;
}

/** "1999" is "nineteen ninety-nine", "2005" is "two thousand five", "1905" is "nineteen oh five". */
export function year(digits: string): string {
  const value = Number(digits);
  const [century, rest] = [Math.floor(value / 100), value % 100];
  if (digits.length !== 4 || value < 1000) return cardinal(digits);
  if (rest === 0) return century % 10 === 0 ? cardinal(digits) : `${belowHundred(century)} hundred`;
  if (century % 10 === 0 && rest < 10) return cardinal(digits);
  return `${belowHundred(century)} ${rest < 10 ? `oh ${ONES[rest] ?? ''}` : belowHundred(rest)}`;
}

/** "1990" is "nineteen nineties", "90" is "nineties". */
export function decade(digits: string): string {
  const words = digits.length === 4 ? year(digits) : cardinal(digits);
  return words.endsWith('y') ? `${words.slice(0, -1)}ies` : `${words}s`;
}
