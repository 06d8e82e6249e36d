/**
 * Parts of a recording spoken anew, the rest kept as it is: the frames of the mel that the model is
 * given, as f5_tts/infer/speech_edit.py builds them.
 */
import { ArgumentError, invalidArgument } from '../errors.js';
import { roundHalfEven } from '../text/python.js';
import { checkNumber, checkOptions } from '../validate.js';

/** A part to be spoken anew, in seconds of the recording. */
export interface SpeechEdit {
  start: number;
  /** Where it equals `start`, something is put in between; it then needs a `duration`. */
  end: number;
  /** Seconds that it is to take; default as long as it was. 0 leaves it out. */
  duration?: number;
}

/** A stretch of the recording and of what it becomes, in frames from `start` up to `end`. */
export interface EditedStretch {
  old: { start: number; end: number };
  new: { start: number; end: number };
  isKept: boolean;
}

export interface EditedMel {
  /** [frames, mels], row after row: kept frames as they were, zeros where it is spoken anew. */
  condition: Float32Array;
  /** [frames]: 1 where the frame is kept, 0 where it is spoken anew. */
  keep: Uint8Array;
  frames: number;
  /** All of the recording and of the result, in order, without gaps; none is empty in both. */
  stretches: EditedStretch[];
  /** Seconds of a frame. */
  frameSeconds: number;
}

export interface EditOptions {
  /** Values of a frame; default 100. */
  mels?: number;
  /** Hertz and samples of a frame; default 24000 and 256. */
  sampleRate?: number;
  hop?: number;
  /** Frames of the result at most; default 65536, as F5-TTS has it. */
  maxFrames?: number;
}

/** More than anybody makes in 87 s of speech. */
const mostEdits = 100;

/**
 * Edits of a recording of so many seconds, or of any length where that is not known yet: in order and
 * apart, each of them changing something.
 * @throws ArgumentError INVALID_ARGUMENT
 */
export function checkEdits(edits: unknown, seconds = Infinity): Required<SpeechEdit>[] {
  if (!Array.isArray(edits)) throw invalidArgument('edits', 'an array', edits);
  if (edits.length === 0 || edits.length > mostEdits) {
    throw invalidArgument('edits', `1 to ${mostEdits} edits`, edits.length);
  }
  let before = 0;
  return edits.map((value, i) => {
    const name = `edits[${i}]`;
    const edit = checkOptions(name, value, ['start', 'end', 'duration']);
    const start = checkNumber(`${name}.start`, edit['start'], { min: before, max: seconds });
    // A recording ends within its last frame.
    const end = checkNumber(`${name}.end`, edit['end'], { min: start, max: seconds + 0.05 });
    const duration = checkNumber(`${name}.duration`, edit['duration'] ?? end - start, { min: 0 });
    if (end === start && duration === 0) throw changesNothing(name);
    before = end;
    return { start, end, duration };
  });
}

function changesNothing(name: string): ArgumentError {
  return new ArgumentError(
    'INVALID_ARGUMENT',
    `${name} changes nothing: it takes no frame out and puts none in. Give it a duration.`,
  );
}

/** Edits in frames, checked. */
function inFrames(
  edits: readonly SpeechEdit[],
  frames: number,
  perSecond: number,
): { start: number; end: number; length: number }[] {
  return checkEdits(edits, frames / perSecond).map(({ start, end, duration }, i) => {
    const from = roundHalfEven(start * perSecond);
    const to = Math.min(frames, roundHalfEven(end * perSecond));
    const length = roundHalfEven(duration * perSecond);
    if (from === to && length === 0) throw changesNothing(`edits[${i}]`);
    return { start: from, end: to, length };
  });
}

/**
 * What the model is given to speak parts of a recording anew.
 * @param mel [frames, mels] of the recording, row after row
 * @param edits in order, without overlaps
 * @throws ArgumentError INVALID_ARGUMENT
 */
export function buildEdit(
  mel: Float32Array,
  edits: readonly SpeechEdit[],
  options?: EditOptions,
): EditedMel {
  checkOptions('options of the edit', options, ['mels', 'sampleRate', 'hop', 'maxFrames']);
  const { mels = 100, sampleRate = 24_000, hop = 256, maxFrames = 65_536 } = options ?? {};
  const frames = mel.length / mels;
  if (!Number.isInteger(frames) || frames === 0) {
    throw invalidArgument('mel', `rows of ${mels} values`, `${mel.length} values`);
  }
  const stretches: EditedStretch[] = [];
  let [from, at] = [0, 0];
  const add = (end: number, length: number, isKept: boolean): void => {
    if (end > from || length > 0) {
      const stretch = { old: { start: from, end }, new: { start: at, end: at + length }, isKept };
      stretches.push(stretch);
    }
    [from, at] = [end, at + length];
  };
  for (const { start, end, length } of inFrames(edits, frames, sampleRate / hop)) {
    add(start, start - from, true);
    add(end, length, false);
  }
  add(frames, frames - from, true);
  if (at === 0 || at > maxFrames) {
    throw invalidArgument('edits', `a result of 1 to ${maxFrames} frames`, `${at} frames`);
  }
  const condition = new Float32Array(at * mels);
  const keep = new Uint8Array(at);
  for (const { old, new: now, isKept } of stretches) {
    if (!isKept) continue;
    condition.set(mel.subarray(old.start * mels, old.end * mels), now.start * mels);
    keep.fill(1, now.start, now.end);
  }
  return { condition, keep, frames: at, stretches, frameSeconds: hop / sampleRate };
}

/**
 * Where a time of the recording is in what it became, both in seconds: within a part that was spoken
 * anew in proportion, within one that was left out at its place, behind the end as far behind it.
 */
export function editedTime(
  { stretches, frameSeconds }: Pick<EditedMel, 'stretches' | 'frameSeconds'>,
  seconds: number,
): number {
  const frame = seconds / frameSeconds;
  const found = stretches.find(({ old }) => frame < old.end);
  const last = stretches.at(-1);
  if (found === undefined)
    return seconds + ((last?.new.end ?? 0) - (last?.old.end ?? 0)) * frameSeconds;
  const { old, new: now } = found;
  const part = (frame - old.start) / (old.end - old.start);
  return (now.start + part * (now.end - now.start)) * frameSeconds;
}
