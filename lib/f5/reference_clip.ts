/**
 * What of a recording becomes the reference: at most 12 seconds, cut where it is silent, as
 * F5-TTS's preprocess_ref_audio_text does (f5_tts/infer/utils_infer.py).
 */
import {
  LevelMeter,
  leadingSilence,
  millisecondsOf,
  sliceMilliseconds,
  splitOnSilence,
  type SilenceOptions,
} from '../audio/silence.js';
import type { AudioSpan } from '../audio/spans.js';

/** Milliseconds: the longest reference, and what is taken whatever comes behind it. */
const longest = 12_000;
const enough = 6000;
/** Decibels below which the ends of the reference are cut off. */
const edgeThreshold = -42;

const longSilence: Rule = { minSilence: 1000, threshold: -50, keep: 1000, step: 10 };
const shortSilence: Rule = { minSilence: 100, threshold: -40, keep: 1000, step: 10 };

type Rule = SilenceOptions & { keep: number };

export interface ReferenceClip {
  /** Mono, at the rate of the recording; 50 ms of silence at the end. */
  samples: Float32Array;
  /** Seconds of the recording that were taken, in order and apart. */
  kept: AudioSpan[];
  /** Where it ends: with the recording, at a silence, or wherever 12 s were over. */
  end: 'whole' | 'silence' | 'cut';
}

/** Samples from `start` up to `end`; it may reach beyond the last one by half a millisecond. */
interface FrameSpan {
  start: number;
  end: number;
}

interface Choice {
  spans: FrameSpan[];
  frames: number;
  /** Whether something was left out behind them. */
  isCut: boolean;
}

/** The first parts between silences that make up 12 s, or the first ones that make up 6 s. */
function choose(meter: LevelMeter, rule: Rule): Choice {
  const choice: Choice = { spans: [], frames: 0, isCut: false };
  for (const part of splitOnSilence(meter, rule)) {
    const span = { start: meter.frameAt(part.start), end: meter.frameAt(part.end) };
    const frames = choice.frames + span.end - span.start;
    const rate = meter.sampleRate;
    if (millisecondsOf(choice.frames, rate) > enough && millisecondsOf(frames, rate) > longest) {
      choice.isCut = true;
      break;
    }
    choice.spans.push(span);
    choice.frames = frames;
  }
  return choice;
}

function join(samples: Float32Array, { spans, frames }: Choice): Float32Array {
  const joined = new Float32Array(frames);
  let at = 0;
  for (const { start, end } of spans) {
    joined.set(samples.subarray(start, end), at);
    at += end - start;
  }
  return joined;
}

/** Leaves of the spans what lies between two places in all of them, put together. */
function narrow(spans: readonly FrameSpan[], from: number, to: number): FrameSpan[] {
  const left: FrameSpan[] = [];
  let at = 0;
  for (const { start, end } of spans) {
    const shift = start - at;
    const span = { start: Math.max(at, from) + shift, end: Math.min(at + end - start, to) + shift };
    if (span.end > span.start) left.push(span);
    at += end - start;
  }
  return left;
}

/** Spans in seconds; what adjoins is one. */
function inSeconds(spans: readonly FrameSpan[], meter: LevelMeter): AudioSpan[] {
  const joined: FrameSpan[] = [];
  for (const { start, end } of spans) {
    const before = joined.at(-1);
    if (before?.end === start) before.end = end;
    else joined.push({ start, end });
  }
  return joined.map(({ start, end }) => ({
    start: start / meter.sampleRate,
    end: Math.min(end, meter.frames) / meter.sampleRate,
  }));
}

/**
 * Samples of the 50 ms of silence behind it. pydub makes them at 11025 Hz and converts them with
 * audioop.ratecv, which is why they are some samples short: 1198 at 24 kHz.
 */
function endSilence(sampleRate: number): number {
  const made = Math.trunc(11_025 * 0.05);
  return Math.floor(((made - 1) * sampleRate) / 11_025) + 1;
}

/**
 * @param samples mono, those that the meter has measured
 * @param gain what the meter multiplied them by
 */
export function clipReference(samples: Float32Array, meter: LevelMeter, gain = 1): ReferenceClip {
  const rate = meter.sampleRate;
  const measure = (of: Float32Array): LevelMeter => new LevelMeter(rate, gain).push(of);
  let choice = choose(meter, longSilence);
  if (millisecondsOf(choice.frames, rate) > longest) choice = choose(meter, shortSilence);
  let end: ReferenceClip['end'] = choice.isCut ? 'silence' : 'whole';
  if (millisecondsOf(choice.frames, rate) > longest) {
    const frames = meter.frameAt(longest);
    choice = { spans: narrow(choice.spans, 0, frames), frames, isCut: true };
    end = 'cut';
  }
  let clip = join(samples, choice);
  let length = millisecondsOf(clip.length, rate);
  const leading = leadingSilence(measure(clip), edgeThreshold);
  const first = meter.frameAt(leading);
  clip = sliceMilliseconds(clip, rate, leading, length);
  length = millisecondsOf(clip.length, rate);
  const trailing = leadingSilence(measure(clip.slice().reverse()), edgeThreshold);
  if (trailing > 0) clip = sliceMilliseconds(clip, rate, 0, length - trailing);
  if (end === 'cut' && trailing > 0) end = 'silence';
  const spans = narrow(choice.spans, first, first + clip.length);
  const out = new Float32Array(clip.length + endSilence(rate));
  out.set(clip);
  return { samples: out, kept: inSeconds(spans, meter), end };
}
