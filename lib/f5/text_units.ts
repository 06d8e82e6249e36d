/** The words of a text, or its characters where it is written without blanks, and their matching. */
import type { AudioSpan } from '../audio/spans.js';

export interface TextUnit {
  /** Where it stands in the text, with the punctuation and blanks behind it. */
  start: number;
  end: number;
  /** Its letters and digits, made equal where spellings differ. Empty for bare punctuation. */
  key: string;
  /** Share of the time of speaking, by UTF-8 bytes, as f5-tts counts it. */
  weight: number;
  /** What ends behind it. */
  ends: 'sentence' | 'clause' | 'none';
}

interface HeardUnit {
  key: string;
  start: number;
  end: number;
}

/** Letters of scripts that are written without blanks. */
const unspaced = ['Han', 'Hiragana', 'Katakana', 'Thai', 'Lao', 'Khmer', 'Myanmar']
  .map((script) => `\\p{Script=${script}}`)
  .join('');

/**
 * Such letters one by one, with the opening punctuation before them and the marks and other
 * punctuation behind them; else whatever stands between blanks.
 */
const unit = new RegExp(
  `[\\p{Ps}\\p{Pi}]*[${unspaced}][^\\p{L}\\p{N}\\p{Ps}\\p{Pi}]*|[^\\s${unspaced}]+\\s*|\\s+`,
  'gu',
);

/** From the letters and digits of a unit to what is equal where they are said the same. */
export type Reading = (letters: string) => string;

function keyOf(text: string, reading: Reading): string {
  const letters = text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '');
  return letters === '' ? '' : reading(letters);
}

/** Characters at the end that are looked at: patterns anchored there take quadratic time. */
const endLength = 40;

function endOf(text: string): TextUnit['ends'] {
  const bare = text.slice(-endLength).replace(/[\s"'”’」』》）)\]]+$/u, '');
  if (/[.!?。！？…]$/u.test(bare)) return 'sentence';
  return /[,;:，；：、–—-]$/u.test(bare) ? 'clause' : 'none';
}

/** The units of a text, which cover it whole. */
export function textUnits(text: string, reading: Reading): TextUnit[] {
  const units: TextUnit[] = [];
  for (const match of text.matchAll(unit)) {
    const [piece] = match;
    const end = match.index + piece.length;
    const key = keyOf(piece, reading);
    const before = units.at(-1);
    // A dash between blanks belongs to the word before it.
    if (key === '' && before !== undefined) {
      before.end = end;
      before.weight += Buffer.byteLength(piece);
      before.ends = endOf(text.slice(Math.max(before.start, end - endLength), end));
      continue;
    }
    const weight = Buffer.byteLength(piece);
    units.push({ start: match.index, end, key, weight, ends: endOf(piece) });
  }
  return units;
}

/** The units of a word that was heard; they share its time. */
export function unitsOfWord(
  word: { word: string; start: number; end: number },
  reading: Reading,
): HeardUnit[] {
  const units = textUnits(word.word, reading).filter(({ key }) => key !== '');
  const length = (word.end - word.start) / Math.max(1, units.length);
  return units.map(({ key }, i) => ({
    key,
    start: word.start + i * length,
    end: word.start + (i + 1) * length,
  }));
}

/** Cells of the table of distances; beyond it the texts are too long to be a reference. */
const mostCells = 64e6;

const [pairStep, skipUnitStep, skipHeardStep] = [0, 1, 2];

export interface Alignment {
  /** The heard unit that each unit of the text is paired with. */
  pairs: (number | undefined)[];
  /** How many units of each were compared: all, but for the end of the one that goes on. */
  compared: { units: number; heard: number };
}

/**
 * Pairs by the least edit distance. Pairs of unlike words are kept: they stand for each other. `isOpen`:
 * the one may go on behind the end of the other, which costs nothing.
 * @returns undefined where the texts are too long.
 */
export function alignUnits(
  units: readonly { key: string }[],
  heard: readonly { key: string }[],
  isOpen = false,
): Alignment | undefined {
  const width = heard.length + 1;
  if ((units.length + 1) * width > mostCells) return undefined;
  const steps = new Uint8Array((units.length + 1) * width).fill(skipUnitStep);
  let row = new Float64Array(width).map((_, j) => j);
  steps.fill(skipHeardStep, 0, width);
  let best = { units: 0, heard: heard.length, cost: heard.length };
  for (const [i, { key }] of units.entries()) {
    const next = new Float64Array(width);
    next[0] = i + 1;
    for (const [j, other] of heard.entries()) {
      const pair = (row[j] ?? 0) + (key === other.key ? 0 : 1);
      const skipUnit = (row[j + 1] ?? 0) + 1;
      const skipHeard = (next[j] ?? 0) + 1;
      const least = Math.min(pair, skipUnit, skipHeard);
      next[j + 1] = least;
      const step = least === pair ? pairStep : least === skipUnit ? skipUnitStep : skipHeardStep;
      steps[(i + 1) * width + j + 1] = step;
    }
    row = next;
    const cost = row[heard.length] ?? 0;
    if (cost <= best.cost) best = { units: i + 1, heard: heard.length, cost };
  }
  for (const [j, cost] of row.entries()) {
    if (cost < best.cost) best = { units: units.length, heard: j, cost };
  }
  const compared = isOpen
    ? { units: best.units, heard: best.heard }
    : { units: units.length, heard: heard.length };
  const pairs: (number | undefined)[] = units.map(() => undefined);
  for (let { units: i, heard: j } = compared; i > 0;) {
    const step = steps[i * width + j];
    if (step === pairStep) pairs[i - 1] = j - 1;
    if (step !== skipHeardStep) i--;
    if (step !== skipUnitStep) j--;
  }
  return { pairs, compared };
}

/**
 * Where each unit is said, on an axis of so many seconds: at its known place, or spread between those of
 * others.
 */
export function placeUnits(
  units: readonly TextUnit[],
  known: readonly (AudioSpan | undefined)[],
  total: number,
): AudioSpan[] {
  const placed: AudioSpan[] = [];
  let from = 0;
  for (let i = 0; i < units.length;) {
    const own = known[i];
    if (own !== undefined) {
      placed.push(own);
      from = own.end;
      i++;
      continue;
    }
    let next = i;
    while (next < units.length && known[next] === undefined) next++;
    const to = Math.max(from, known[next]?.start ?? total);
    const gap = units.slice(i, next);
    const weight = gap.reduce((sum, unit) => sum + unit.weight, 0);
    const scale = weight > 0 ? (to - from) / weight : 0;
    for (const unit of gap) {
      const end = from + unit.weight * scale;
      placed.push({ start: from, end });
      from = end;
    }
    i = next;
  }
  return placed;
}
