/** Numbers in Chinese characters. Digits come as strings, so that no length is too long. */
const DIGITS = [...'零一二三四五六七八九'];
const UNITS = ['', '十', '百', '千'];
const GROUPS = ['', '万', '亿', '万亿'];

/** More are said one by one. */
const MAX_DIGITS = 16;

/** Four digits; 两 in the place of 二 before 百 and 千. */
function belowTenThousand(value: number): string {
  let words = '';
  let zero = false;
  for (let place = 3; place >= 0; place--) {
    const digit = Math.floor(value / 10 ** place) % 10;
    if (digit === 0) {
      zero = words !== '';
      continue;
    }
    if (zero) words += '零';
    zero = false;
    words += (digit === 2 && place >= 2 ? '两' : (DIGITS[digit] ?? '')) + (UNITS[place] ?? '');
  }
  return words;
}

/** "105" is 一百零五, "12" is 十二, "20000" is 两万; commas between the digits do not count. */
export function cardinal(digits: string): string {
  const plain = digits.replaceAll(',', '').replace(/^0+(?=\d)/, '');
  if (plain.length > MAX_DIGITS) return spell(plain);
  if (plain === '0') return '零';
  let words = '';
  let gap = false;
  for (let start = plain.length % 4 || 4, from = 0; from < plain.length; from = start, start += 4) {
    const value = Number(plain.slice(from, start));
    const group = (plain.length - start) / 4;
    if (value === 0) {
      gap = true;
      continue;
    }
    if (words !== '' && (gap || value < 1000)) words += '零';
    gap = false;
    words += (value === 2 && group > 0 ? '两' : belowTenThousand(value)) + (GROUPS[group] ?? '');
  }
  // 十二 is said without 一 at the beginning alone.
  return words.replace(/^一十/, '十');
}

/** Digit by digit. 零, for 〇 is no character that models of F5-TTS set off as one. */
export function spell(digits: string): string {
  return Array.from(digits, (digit) => DIGITS[Number(digit)] ?? digit).join('');
}

/** As numbers of telephones are said, where 一 would be heard as 七. */
export function spellPhone(digits: string): string {
  return spell(digits.replace(/\D/g, '')).replaceAll('一', '幺');
}

/** "3.14" is 三点一四. */
export function decimal(number: string): string {
  const [whole = '', fraction] = number.split('.', 2);
  const said = /^0\d/.test(whole) ? spell(whole) : cardinal(whole || '0');
  return fraction === undefined || fraction === '' ? said : `${said}点${spell(fraction)}`;
}

/** Before what is counted "2" is 两. */
export function counted(number: string): string {
  return number === '2' ? '两' : decimal(number);
}
