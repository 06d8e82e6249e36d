/**
 * Tags in a text that is to be spoken:
 * - `[pause:0.5s]`, `[pause:300ms]`: silence.
 * - `[name]`: a voice that the caller knows, from there on; "main" is the one without a name.
 * - `[pinyin:chong2 qing4]`: syllables as they are to be said, for characters with several readings.
 * - `\[` and `\]`: brackets as they are.
 *
 * A bracket that opens no tag is text: one that is never closed, or what is in it is no single name.
 */
import { ArgumentError, invalidArgument } from '../errors.js';
import { didYouMean, nearest } from '../validate.js';
import { MARKS, markOf, syllableOf, withoutMarks } from './pinyin_marks.js';

export type ScriptPart =
  | {
      kind: 'speech';
      /** Never blank. Syllables of pinyin are in it as single characters, see pinyin_marks.ts. */
      text: string;
      /** Undefined: the main voice. */
      voice?: string;
    }
  | { kind: 'pause'; seconds: number };

export interface ScriptOptions {
  /** Names of the voices beside the main one. */
  voices?: readonly string[];
  /** Whether the model knows a syllable, as "chong2". Default: any that pinyin can write. */
  knowsSyllable?: (syllable: string) => boolean;
}

export const MAX_TEXT_LENGTH = 100_000;
export const MAX_PAUSE_SECONDS = 10;
const MAIN = 'main';

/** What is escaped, else a tag: no bracket within, and no line's end, for a tag is in one line. */
const tags = /\\[[\]]|\[([^[\]\r\n]{1,1000})\]/g;
const voiceName = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u;
const speakable = new RegExp(`[\\p{L}\\p{N}${MARKS}]`, 'u');

/** Whether there is anything in a text that can be said: a letter or a digit. */
export function isSpeakable(text: string): boolean {
  return speakable.test(text);
}

/**
 * Reads a text's tags. Parts of the same voice that nothing parts are one; those with nothing to say,
 * such as a full stop after a tag, are left out.
 * @throws ArgumentError INVALID_ARGUMENT for an unknown voice, a malformed tag, or nothing to say.
 */
export function parseScript(text: string, options: ScriptOptions = {}): ScriptPart[] {
  if (typeof text !== 'string') throw invalidArgument('text', 'a string', text);
  if (text.length > MAX_TEXT_LENGTH) {
    const got = `${text.length} characters`;
    throw invalidArgument('text', `at most ${MAX_TEXT_LENGTH} characters`, got);
  }
  // From outside they mean nothing.
  const clean = withoutMarks(text);
  const parts: ScriptPart[] = [];
  let voice: string | undefined;
  let speech = '';
  const close = (): void => {
    const said = speech.trim();
    if (isSpeakable(said)) {
      parts.push({ kind: 'speech', text: said, ...(voice === undefined ? {} : { voice }) });
    }
    speech = '';
  };
  let end = 0;
  for (const match of clean.matchAll(tags)) {
    speech += clean.slice(end, match.index);
    end = match.index + match[0].length;
    const tag = readTag(match[0], match[1]?.trim() ?? '', options);
    if (typeof tag === 'string') {
      speech += tag;
    } else if ('seconds' in tag) {
      close();
      parts.push({ kind: 'pause', seconds: tag.seconds });
    } else if (tag.voice !== voice) {
      close();
      voice = tag.voice;
    }
  }
  speech += clean.slice(end);
  close();
  if (parts.some(({ kind }) => kind === 'speech')) return parts;
  const shown = JSON.stringify(text.trim().slice(0, 40));
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    `There is nothing to say in text (${shown}): it needs a letter or a digit. Emoji and punctuation alone have no sound.`,
  );
}

/** What a tag stands for: text, a pause, or from here on a voice. */
function readTag(
  whole: string,
  content: string,
  options: ScriptOptions,
): string | { seconds: number } | { voice: string | undefined } {
  if (whole.startsWith('\\')) return whole.slice(1);
  const [, keyword, value = ''] = /^(pause|pinyin)\s*:(.*)$/iu.exec(content) ?? [];
  if (keyword?.toLowerCase() === 'pause') return { seconds: readPause(whole, value) };
  if (keyword !== undefined) return readPinyin(whole, value, options.knowsSyllable);
  if (!voiceName.test(content)) return whole;
  const voices = options.voices ?? [];
  if (voices.includes(content)) return { voice: content };
  if (content === MAIN) return { voice: undefined };
  const known = [...new Set([MAIN, ...voices])];
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    `There is no voice ${JSON.stringify(content.slice(0, 60))}.${didYouMean(nearest(content, known))} Known voices: ${known.join(', ')}. For brackets that are text write \\[ and \\].`,
  );
}

function readPause(tag: string, value: string): number {
  const [, amount, unit] = /^\s*(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)?\s*$/i.exec(value) ?? [];
  const seconds = Number(amount) / (unit?.toLowerCase() === 'ms' ? 1000 : 1);
  if (seconds >= 0 && seconds <= MAX_PAUSE_SECONDS) return seconds;
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    `${tag.slice(0, 60)} is no pause: write [pause:0.5s] or [pause:500ms], from 0 to ${MAX_PAUSE_SECONDS} seconds.`,
  );
}

function readPinyin(
  tag: string,
  value: string,
  knows: ((syllable: string) => boolean) | undefined,
): string {
  const syllables = value.trim().split(/[\s']+/);
  return syllables
    .map((syllable) => {
      const mark = markOf(syllable);
      const known = mark === undefined ? undefined : syllableOf(mark);
      if (mark !== undefined && known !== undefined && knows?.(known) !== false) return mark;
      throw new ArgumentError(
        'INVALID_ARGUMENT',
        `${tag.slice(0, 60)}: ${JSON.stringify(syllable.slice(0, 20))} is no syllable of pinyin that the model knows. Write each with its tone as a digit, as in [pinyin:chong2 qing4].`,
      );
    })
    .join('');
}
