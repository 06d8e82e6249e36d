/** The --edit of voxpod speak: parts of a recording spoken anew. */
import { InvalidArgumentError } from 'commander';
import { ArgumentError } from '../../lib/errors.js';
import { checkEdits } from '../../lib/f5/speech_edit.js';
import type { EditOptions, SpeechEdit } from '../../lib/index.js';
import { speakOptions, type Options } from './speak_options.js';
import { given } from './transcribe_options.js';

export type EditArgument = SpeechEdit | 'auto';

const seconds = '(\\d+(?:\\.\\d+)?)';
const span = new RegExp(`^${seconds}-${seconds}(?::${seconds})?$`);

/** One --edit, added to those before it. */
export function edit(text: string, before: readonly EditArgument[] = []): EditArgument[] {
  if (text === 'auto') return [...before, text];
  const [match, start, end, duration] = span.exec(text) ?? [];
  if (match === undefined) {
    throw new InvalidArgumentError(
      'Expected START-END or START-END:SECONDS, in seconds of the recording (1.42-2.44:0.8), or auto.',
    );
  }
  return [
    ...before,
    {
      ...{ start: Number(start), end: Number(end) },
      ...(duration === undefined ? {} : { duration: Number(duration) }),
    },
  ];
}

/** Options of speech that is made from nothing but a voice. */
const unfit = ['voice', 'speed', 'duration', 'crossFade', 'removeSilence'] as const;

export interface AskedEdits {
  /** Path of the recording. */
  recording: string;
  edits: readonly SpeechEdit[] | 'auto';
}

/** @throws ArgumentError INVALID_ARGUMENT; undefined where nothing is to be edited */
export function askedEdits(options: Options): AskedEdits | undefined {
  const { edit: asked, reference: recording } = options;
  if (asked === undefined) return undefined;
  const wrong = unfit.find((name) => options[name] !== undefined);
  if (wrong !== undefined) {
    const flag = wrong.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `--${flag} does not go with --edit, which keeps the voice and the pace of the recording`,
    );
  }
  if (recording === undefined) {
    throw new ArgumentError('INVALID_ARGUMENT', 'Give the recording to edit: --reference FILE');
  }
  if (!asked.includes('auto')) return { recording, edits: checkEdits(asked) };
  if (asked.length === 1) return { recording, edits: 'auto' };
  throw new ArgumentError('INVALID_ARGUMENT', '--edit auto finds all parts: give no other --edit');
}

/** The library's options for the command's. */
export function editOptions(options: Options): Omit<EditOptions, 'text' | 'edits'> {
  return { ...speakOptions(options), ...given({ targetRms: options.targetRms }) };
}

/** As they are given. */
export function shownEdits(edits: readonly SpeechEdit[]): string {
  return edits
    .map(({ start, end, duration = end - start }) => `--edit ${start}-${end}:${duration}`)
    .join(' ');
}
