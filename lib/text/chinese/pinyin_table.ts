/**
 * pypinyin's two dictionaries as sorted arrays: 1 MB in the place of the 35 MB that its JSON takes as
 * objects, and movable between threads. All of it is in the basic plane, which is what F5-TTS asks for.
 */
export interface PinyinTable {
  /** Phrases in the order of their UTF-16 code units, one after another. */
  phrases: Uint16Array;
  /** Where a phrase starts, and behind the last one the end. */
  starts: Uint32Array;
  /** A syllable for each code unit of `phrases`. */
  readings: Uint16Array;
  /** The first reading of a character by its code; 0 where it has none. */
  singles: Uint16Array;
  /** By number; with the tone as a digit at the end, none for the neutral tone, v for ü. */
  syllables: string[];
}

/** Accents by Unicode's combining marks: the tones, in their order. */
const marks = ['\u0304', '\u0301', '\u030c', '\u0300'];

/** "lǜ" is "lv4", "de" is "de" (pypinyin, Style.TONE3). */
export function numberTone(syllable: string): string {
  let tone = '';
  let letters = '';
  for (const part of syllable.normalize('NFD')) {
    const found = marks.indexOf(part) + 1;
    if (found > 0) tone = String(found);
    else if (part === '\u0308') letters = `${letters.slice(0, -1)}v`;
    else letters += part;
  }
  return letters.normalize('NFC') + tone;
}

/**
 * @param phrases words and the readings of each of their characters, of which the first counts.
 * @param singles readings of characters, separated by commas, by the character's code.
 */
export function buildPinyinTable(
  phrases: ReadonlyMap<string, readonly string[]>,
  singles: ReadonlyMap<number, string>,
): PinyinTable {
  const numbers = new Map<string, number>([['', 0]]);
  // Of 190,000 readings 1,500 are different.
  const known = new Map<string, number>();
  const number = (reading: string): number => {
    let found = known.get(reading);
    if (found === undefined) {
      const syllable = numberTone(reading);
      found = numbers.get(syllable) ?? numbers.size;
      numbers.set(syllable, found);
      known.set(reading, found);
    }
    return found;
  };
  // By code units, as the search compares them.
  const words = [...phrases.keys()].sort((a, b) => (a < b ? -1 : 1));
  const length = words.reduce((sum, word) => sum + word.length, 0);
  const table: PinyinTable = {
    phrases: new Uint16Array(length),
    starts: new Uint32Array(words.length + 1),
    readings: new Uint16Array(length),
    singles: new Uint16Array(0x10000),
    syllables: [],
  };
  let at = 0;
  for (const [i, word] of words.entries()) {
    for (const [k, reading] of (phrases.get(word) ?? []).entries()) {
      table.phrases[at] = word.charCodeAt(k);
      table.readings[at++] = number(reading);
    }
    table.starts[i + 1] = at;
  }
  for (const [code, readings] of singles) {
    if (code < 0x10000) table.singles[code] = number(readings.split(',', 1)[0] ?? '');
  }
  table.syllables = [...numbers.keys()];
  return table;
}

export interface PhraseMatch {
  /** Number of the longest phrase; -1 where there is none. */
  phrase: number;
  /** Whether some phrase begins with all of the text. */
  all: boolean;
}

/**
 * The longest phrase that the text has at `start`, looked for as pypinyin does (seg/mmseg.py): character
 * by character as long as some phrase begins so.
 */
export function longestPhrase(table: PinyinTable, text: string, start: number): PhraseMatch {
  const { phrases, starts } = table;
  let [low, high] = [0, starts.length - 1];
  let phrase = -1;
  for (let k = 0; start + k < text.length; k++) {
    const code = text.charCodeAt(start + k);
    // All between low and high have the same k characters; the one that has no more comes first.
    const unit = (i: number): number => {
      const at = (starts[i] ?? 0) + k;
      return at < (starts[i + 1] ?? 0) ? (phrases[at] ?? -1) : -1;
    };
    const end = high;
    low = firstWhere(low, end, (i) => unit(i) >= code);
    high = firstWhere(low, end, (i) => unit(i) > code);
    if (low === high) return { phrase, all: false };
    if ((starts[low + 1] ?? 0) - (starts[low] ?? 0) === k + 1) phrase = low;
  }
  return { phrase, all: true };
}

function firstWhere(low: number, high: number, holds: (i: number) => boolean): number {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
