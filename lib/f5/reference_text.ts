/** The text of a reference: how it ends, and what of it is left where the recording was cut. */
import { commonSeconds, type AudioSpan } from '../audio/spans.js';
import {
  alignUnits,
  placeUnits,
  textUnits,
  unitsOfWord,
  type Reading,
  type TextUnit,
} from './text_units.js';

/** A word as a speech recogniser heard it, in seconds of the whole recording. */
export interface TimedWord {
  word: string;
  start: number;
  end: number;
}

/** What of a recording was kept; `prepareReference` gives it. */
export interface KeptAudio {
  /** Seconds of the recording. */
  duration: number;
  /** Seconds that were kept, in order and apart. */
  kept: readonly AudioSpan[];
  /** Seconds with sound; without it, everything sounds. */
  sounding?: readonly AudioSpan[];
}

export interface KeptText {
  /** What is said in the parts that were kept, as the given text spells it. */
  text: string;
  /**
   * How it was found: nothing that sounds was cut; by the words' times; by the length alone, which
   * is a guess.
   */
  method: 'whole' | 'words' | 'proportion';
  warnings: string[];
}

/**
 * The text as it goes before what is to be said: ending in ". " or "。", as f5-tts's
 * preprocess_ref_audio_text makes it. An end like "!" stays and gets ". " behind it.
 */
export function referenceText(text: string): string {
  if (text.endsWith('. ') || text.endsWith('。')) return text;
  return text + (text.endsWith('.') ? ' ' : '. ');
}

/** Seconds of sound that may be lost without a word being lost. */
const nothing = 0.1;
/** Below this part of words that agree, what was heard is not the given text. */
export const agreement = 0.4;
/** A guess may move to the end of a sentence, or of a clause, this part of the text away. */
const sentenceReach = 0.12;
const clauseReach = 0.06;

/** The axis of a recording on which only what sounds takes time. */
class SoundingTime {
  readonly #spans: readonly AudioSpan[];
  readonly total: number;

  constructor({ duration, sounding }: KeptAudio) {
    const whole = [{ start: 0, end: duration }];
    this.#spans = sounding === undefined || sounding.length === 0 ? whole : sounding;
    this.total = commonSeconds(this.#spans, whole);
  }

  /** From seconds of the recording. */
  at(second: number): number {
    return commonSeconds(this.#spans, [{ start: -Infinity, end: second }]);
  }

  /** Spans of the recording, without the silence between them. */
  spans(spans: readonly AudioSpan[]): AudioSpan[] {
    return spans.map(({ start, end }) => ({ start: this.at(start), end: this.at(end) }));
  }
}

/** Whether half of a stretch was kept at least; one without sound, whether what follows was. */
function isKept({ start, end }: AudioSpan, kept: readonly AudioSpan[], total: number): boolean {
  if (end - start < 1e-6) {
    const at = Math.min(start, total - 1e-6);
    return kept.some((span) => span.start <= at && at < span.end);
  }
  return commonSeconds([{ start, end }], kept) >= (end - start) / 2;
}

/** Puts the units that were kept together; where the end is missing, they end as a sentence. */
function join(text: string, units: readonly TextUnit[], flags: readonly boolean[]): string {
  let out = '';
  for (const [i, unit] of units.entries()) {
    if (flags[i] === true) out += text.slice(unit.start, unit.end);
  }
  if (flags.at(-1) === true) return out.trimStart();
  out = out.trim();
  let length = out.length;
  while (length > 0 && /[\s,;:，；：、\-–—(（[【「『“‘"'《<]/u.test(out.charAt(length - 1)))
    length--;
  const cut = out.slice(0, length);
  const end = cut.slice(-40);
  if (end === '' || /[.!?。！？…]["'”’」』）)\]]*$/u.test(end)) return cut;
  return cut + (/\p{Script=Han}["'”’」』》）)\]]*$/u.test(end) ? '。' : '.');
}

/**
 * A recogniser tends to begin the first word behind a pause too early. Where the recording is cut at
 * that pause, the word has hardly any sound left that it could be.
 */
function dropStray(
  units: readonly TextUnit[],
  flags: boolean[],
  placed: readonly AudioSpan[],
  total: number,
): void {
  const last = flags.lastIndexOf(true);
  const [unit, span] = [units[last], placed[last]];
  if (unit === undefined || span === undefined || last === units.length - 1) return;
  if ((units[last - 1]?.ends ?? 'none') === 'none') return;
  const weight = units.reduce((sum, other) => sum + other.weight, 0);
  if (span.end - span.start < (total * unit.weight) / weight / 2) flags[last] = false;
}

/** Moves a guessed end to where a sentence or a clause ends near by, since silence is there. */
function moveToPunctuation(units: readonly TextUnit[], flags: boolean[]): void {
  const last = flags.lastIndexOf(true);
  if (last < 0 || last === units.length - 1) return;
  const total = units.reduce((sum, { weight }) => sum + weight, 0);
  let best: { index: number; cost: number } | undefined;
  let away = 0;
  const weigh = (index: number): void => {
    const reach = { sentence: sentenceReach, clause: clauseReach, none: 0 };
    const allowed = reach[units[index]?.ends ?? 'none'] * total;
    if (allowed === 0 || away > allowed) return;
    const cost = away / allowed;
    if (best === undefined || cost < best.cost) best = { index, cost };
  };
  for (let i = last; i >= 0; i--) {
    weigh(i);
    away += units[i]?.weight ?? 0;
  }
  away = 0;
  for (let i = last + 1; i < units.length; i++) {
    away += units[i]?.weight ?? 0;
    weigh(i);
  }
  if (best === undefined) return;
  for (let i = Math.min(best.index, last) + 1; i < units.length; i++) flags[i] = i <= best.index;
}

/** Whether units that nobody heard have no time to be said in: they were heard elsewhere, then. */
function isSqueezed(
  units: readonly TextUnit[],
  known: readonly (AudioSpan | undefined)[],
  placed: readonly AudioSpan[],
  total: number,
): boolean {
  const whole = units.reduce((sum, { weight }) => sum + weight, 0);
  let [weight, seconds] = [0, 0];
  for (const [i, unit] of units.entries()) {
    if (known[i] !== undefined) [weight, seconds] = [0, 0];
    else {
      weight += unit.weight;
      seconds += (placed[i]?.end ?? 0) - (placed[i]?.start ?? 0);
    }
    const next = known[i + 1] !== undefined || i === units.length - 1;
    if (next && weight > 0.1 * whole && seconds < (0.3 * total * weight) / whole) return true;
  }
  return false;
}

/** When each unit was said by what was heard; nothing where that is another text. */
function hear(
  units: readonly TextUnit[],
  words: readonly TimedWord[],
  time: SoundingTime,
  reading: Reading,
): AudioSpan[] | undefined {
  const heard = words.flatMap((word) => unitsOfWord(word, reading));
  const found = alignUnits(units, heard, true);
  if (found === undefined) return undefined;
  const { pairs, compared } = found;
  const equal = pairs.filter((j, i) => j !== undefined && heard[j]?.key === units[i]?.key);
  if (equal.length < agreement * Math.max(1, compared.units, compared.heard)) return undefined;
  const known = pairs.map((index) => {
    const word = index === undefined ? undefined : heard[index];
    return word && { start: time.at(word.start), end: time.at(word.end) };
  });
  const placed = placeUnits(units, known, time.total);
  return isSqueezed(units, known, placed, time.total) ? undefined : placed;
}

/**
 * What of `text` is said in the parts of a recording that were kept. f5-tts leaves the text whole,
 * and the model then says what it lacks the sound of.
 *
 * `words` are those of the recording, or of its beginning with all that was kept, as a recogniser heard
 * them. They are matched with the text by edit distance, by characters where it is Chinese or Japanese,
 * and need not spell the same: the result is a part of `text`. Without them, or where they have little
 * in common with the text, it is cut in proportion to the bytes, at the end of a sentence or clause
 * where one is near.
 *
 * `reading` makes characters equal that sound the same or are written in two ways (traditional and
 * simplified Chinese, which Whisper mixes): pinyin, say. Absent: they must be the same.
 */
export function textForKeptAudio(
  text: string,
  audio: KeptAudio,
  words?: readonly TimedWord[],
  reading: Reading = (letters) => letters,
): KeptText {
  const time = new SoundingTime(audio);
  const kept = time.spans(audio.kept);
  const lost = time.total - commonSeconds(kept, [{ start: 0, end: time.total }]);
  const units = textUnits(text, reading);
  const heard = words === undefined ? undefined : hear(units, words, time, reading);
  const warnings: string[] = [];
  if (words !== undefined && heard === undefined && units.length > 0) {
    warnings.push(
      'What is heard in the reference is not its text: check that they belong to each other.',
    );
  }
  if (lost <= nothing || units.length === 0) return { text, method: 'whole', warnings };
  const placed = heard ?? placeUnits(units, [], time.total);
  const flags = placed.map((span) => isKept(span, kept, time.total));
  dropStray(units, flags, placed, time.total);
  // A text of one long word, say: no sound is without words.
  if (!flags.includes(true)) flags[0] = true;
  if (heard === undefined) {
    moveToPunctuation(units, flags);
    warnings.push(
      'The reference was cut, and its text in proportion, which is a guess: words may be lost or said twice. Give a reference of at most 12 s with exactly its text.',
    );
  }
  return {
    text: join(text, units, flags),
    method: heard === undefined ? 'proportion' : 'words',
    warnings,
  };
}
