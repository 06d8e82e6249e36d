/**
 * The parts of a recording that a new text changes: what is heard in it is compared with the text word
 * by word (by characters where it is Chinese or Japanese).
 */
import type { AudioSource } from '../audio/source.js';
import { ArgumentError, AudioError, invalidArgument } from '../errors.js';
import { checkFunction, checkOptions, checkSignal, checkString } from '../validate.js';
import { agreement, type TimedWord } from './reference_text.js';
import type { SpeechEdit } from './speech_edit.js';
import { alignUnits, placeUnits, textUnits, unitsOfWord, type TextUnit } from './text_units.js';
import type { Transcriber } from './types.js';

export interface FindEditsOptions {
  /** What is to be said in the whole recording. */
  text: string;
  /** What is said in it now, where that is known better than it is heard. */
  originalText?: string;
  /** Hears the words and their times. */
  transcriber: Transcriber;
  signal?: AbortSignal;
}

/**
 * Seconds that are spoken anew on both sides of what changes: recognisers find the bounds of words no
 * better, and the new words need room to join the old ones.
 */
const margin = 0.08;
/** Less than this between two parts is not kept: the voice would hardly be heard in it. */
const leastKept = 0.15;

/**
 * The edits with which a recording says `text`.
 * @throws ArgumentError INVALID_ARGUMENT where the text says nothing else, or something else altogether;
 * AudioError AUDIO_INVALID where nothing is heard; what the transcriber throws
 */
export async function findEdits(
  audio: AudioSource,
  options: FindEditsOptions,
): Promise<SpeechEdit[]> {
  checkOptions('options of findEdits', options, ['text', 'originalText', 'transcriber', 'signal']);
  const text = checkString('text', options?.text, 20_000);
  const { originalText } = options;
  const original =
    originalText === undefined ? undefined : checkString('originalText', originalText, 20_000);
  const transcriber = checkFunction('transcriber', options.transcriber);
  if (transcriber === undefined) throw invalidArgument('transcriber', 'a function', transcriber);
  const signal = checkSignal('signal', options.signal);
  const { words = [] } = await transcriber(audio, { words: true, signal });
  signal?.throwIfAborted();
  return editsBetween(text, words, original);
}

/** As `findEdits`, of the words that were heard. */
export function editsBetween(
  text: string,
  words: readonly TimedWord[],
  original = words.map(({ word }) => word).join(''),
): SpeechEdit[] {
  const before = timedUnits(original, words);
  const after = wordsOf(text);
  const pairs = alignUnits(after, before)?.pairs ?? [];
  const kept = pairs.flatMap((at, i) =>
    at !== undefined && before[at]?.key === after[i]?.key ? [{ before: at, after: i }] : [],
  );
  if (kept.length < agreement * Math.min(before.length, after.length)) {
    throw mismatch(text, words);
  }
  const spoken = before.reduce((sum, { start, end }) => sum + end - start, 0);
  const pace = spoken / weightOf(before);
  const total = before.at(-1)?.end ?? 0;
  const edits: Required<SpeechEdit>[] = [];
  let [old, next] = [0, 0];
  for (const pair of [...kept, { before: before.length, after: after.length }]) {
    const seconds = weightOf(after.slice(next, pair.after)) * pace;
    const [first, last] = [before[old], before[pair.before - 1]];
    if (pair.before > old && first !== undefined && last !== undefined) {
      add(edits, first.start, last.end, seconds, total);
    } else if (pair.after > next) {
      // What is only put in comes where the word before it ends.
      const at = last?.end ?? first?.start ?? 0;
      add(edits, at, at, seconds, total);
    }
    [old, next] = [pair.before + 1, pair.after + 1];
  }
  if (edits.length > 0) return edits.map(rounded);
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    'The text is what is said in the recording already: there is nothing to edit.',
  );
}

const asWritten = (letters: string): string => letters;

/** Without punctuation that stands before the first word. */
const wordsOf = (text: string): TextUnit[] =>
  textUnits(text, asWritten).filter(({ key }) => key !== '');

const weightOf = (units: readonly { weight: number }[]): number =>
  units.reduce((sum, { weight }) => sum + weight, 0);

/** The words of what is said in the recording, and when. */
function timedUnits(
  original: string,
  words: readonly TimedWord[],
): { key: string; weight: number; start: number; end: number }[] {
  const units = wordsOf(original);
  const heard = words.flatMap((word) => unitsOfWord(word, asWritten));
  const end = heard.at(-1)?.end;
  if (end === undefined || units.length === 0) {
    throw new AudioError('AUDIO_INVALID', 'No words are heard in the recording: give the edits.');
  }
  const known = alignUnits(units, heard)?.pairs.map((at) =>
    at === undefined ? undefined : heard[at],
  );
  const agreed = known?.filter((word, i) => word?.key === units[i]?.key).length ?? 0;
  if (known === undefined || agreed < agreement * units.length) throw mismatch(original, words);
  const spans = placeUnits(units, known, end);
  return units.map(({ key, weight }, i) => {
    const { start = 0, end: ends = start } = spans[i] ?? {};
    return { key, weight, start, end: ends };
  });
}

/** Adds a part with its margins; one that hardly leaves anything to the one before joins it. */
function add(
  edits: Required<SpeechEdit>[],
  from: number,
  to: number,
  seconds: number,
  total: number,
): void {
  const start = Math.max(0, from - margin);
  const end = Math.min(total, to + margin);
  const duration = seconds + (from - start) + (end - to);
  const before = edits.at(-1);
  if (before === undefined || start - before.end >= leastKept) {
    edits.push({ start, end, duration });
    return;
  }
  before.duration = Math.max(0, before.duration + (start - before.end) + duration);
  before.end = end;
}

/** To a hundredth of a second, which is about a frame. */
function rounded({ start, end, duration }: Required<SpeechEdit>): Required<SpeechEdit> {
  const of = (seconds: number): number => Math.round(seconds * 100) / 100;
  return { start: of(start), end: of(end), duration: of(duration) };
}

function mismatch(text: string, words: readonly TimedWord[]): ArgumentError {
  const heard = words
    .map(({ word }) => word)
    .join('')
    .trim();
  const show = (value: string): string => JSON.stringify(value.slice(0, 80));
  return new ArgumentError(
    'INVALID_ARGUMENT',
    `What is heard in the recording (${show(heard)}) has little in common with ${show(text)}: check that the text is that of the whole recording, or give the edits.`,
  );
}
