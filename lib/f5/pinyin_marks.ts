/**
 * Syllables that a text gives in pinyin, each as one character of the private use area. So a syllable
 * counts as much as a Chinese character does (three bytes of UTF-8: the duration of speech is estimated
 * from them), is cut into chunks as one, and is left alone by everything that looks for letters.
 */
const FIRST = 0xe000;

const initials = ['', ...'b p m f d t n l g k h j q x zh ch sh r z c s y w'.split(' ')];
/** As vocabularies write them: ü is v; of "n2" the final is empty, of "ng2" it is g. */
const finals = [
  ...['', 'a', 'ai', 'an', 'ang', 'ao', 'e', 'ei', 'en', 'eng', 'er', 'g', 'i', 'ia'],
  ...['ian', 'iang', 'iao', 'ie', 'in', 'ing', 'io', 'iong', 'iu', 'm', 'ng', 'o', 'ong', 'ou'],
  ...['u', 'ua', 'uai', 'uan', 'uang', 'ue', 'ui', 'un', 'uo', 'v', 've'],
];
const TONES = 5;
const END = FIRST + initials.length * finals.length * TONES;

const shape = /^(zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?([a-z]*?)([1-5])?$/;

/** All marks, for patterns: "[" + MARKS + "]". */
export const MARKS = `${String.fromCharCode(FIRST)}-${String.fromCharCode(END - 1)}`;

const marks = new RegExp(`[${MARKS}]`, 'g');

/** The mark of a syllable as "chong2", "lü4" or "de" (neutral, also "de5"); undefined for no syllable. */
export function markOf(syllable: string): string | undefined {
  const [, initial = '', final = '', tone = '5'] =
    shape.exec(syllable.toLowerCase().replaceAll('ü', 'v').replaceAll('u:', 'v')) ?? [];
  const [i, f] = [initials.indexOf(initial), finals.indexOf(final)];
  if (i < 0 || f < 0 || initial + final === '') return undefined;
  const number = (i * finals.length + f) * TONES + Number(tone) - 1;
  return String.fromCharCode(FIRST + number);
}

/** The syllable of a mark as a vocabulary has it; undefined for other characters. */
export function syllableOf(mark: string): string | undefined {
  const number = mark.charCodeAt(0) - FIRST;
  if (!(number >= 0 && number < END - FIRST)) return undefined;
  const tone = (number % TONES) + 1;
  const pair = Math.floor(number / TONES);
  const initial = initials[Math.floor(pair / finals.length)] ?? '';
  const final = finals[pair % finals.length] ?? '';
  return initial + final + (tone === TONES ? '' : String(tone));
}

/** A text without marks: those that come from outside mean nothing. */
export function withoutMarks(text: string): string {
  return text.replace(marks, '');
}
