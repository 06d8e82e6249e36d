/**
 * Silence around text that Whisper makes up: words of such segments are improbable, very short or
 * very long. Method: openai-whisper, whisper/transcribe.py, `hallucination_silence_threshold`.
 */
import { roundHalfEven } from '../text/python.js';
import { framesPerSecond, secondsAt, windowFrames, type WindowLayout } from './segments.js';
import type { Word } from './types.js';

/** A segment whose words are timed. */
export interface TimedSegment {
  start: number;
  end: number;
  words: readonly Word[];
}

export interface Surroundings {
  /** Frames of the recording, or more than `threshold` behind the window where it goes on. */
  frames: number;
  /** Seconds up to which text was kept before this window. */
  lastSpeech: number;
  /** Seconds. */
  threshold: number;
}

export interface Verdict {
  /** Segments kept, from the first; "none" where the window is to be heard again from later on. */
  keep: number | 'none';
  /** Frame at which the next window starts; undefined where it would start anyway. */
  next: number | undefined;
}

const punctuation = '"\'“¿([{-"\'.。,，!！?？:：”)]}、';
/** Words looked at, of a segment's beginning. */
const wordsLookedAt = 8;
/** Seconds at the edges of a window that count as silence. */
const edge = 2;

function anomaly({ start, end, probability }: Word): number {
  const duration = end - start;
  let score = probability < 0.15 ? 1 : 0;
  if (duration < 0.133) score += (0.133 - duration) * 15;
  if (duration > 2) score += duration - 2;
  return score;
}

function isAnomalous(segment: TimedSegment | undefined): boolean {
  if (segment === undefined || segment.words.length === 0) return false;
  const words = segment.words
    .filter(({ word }) => !punctuation.includes(word))
    .slice(0, wordsLookedAt);
  const score = words.reduce((sum, word) => sum + anomaly(word), 0);
  return score >= 3 || score + 0.01 >= words.length;
}

function hasWords(segment: TimedSegment): boolean {
  return segment.words.length > 0;
}

/** Which segments of a window to keep, and where to listen again. */
export function judge(
  segments: readonly TimedSegment[],
  layout: WindowLayout,
  { frames, lastSpeech, threshold }: Surroundings,
): Verdict {
  const windowStart = secondsAt(layout.seek);
  const windowEnd = secondsAt(layout.seek + windowFrames);

  // Before a first segment that looks made up, silence is skipped and the rest heard again.
  const first = segments.find(hasWords);
  if (first !== undefined && isAnomalous(first)) {
    const gap = first.start - windowStart;
    if (gap > threshold) {
      return { keep: 'none', next: layout.seek + roundHalfEven(gap * framesPerSecond) };
    }
  }

  // What looks made up and has silence, or more such text, on both sides is dropped.
  let last = lastSpeech;
  for (const [i, segment] of segments.entries()) {
    if (!hasWords(segment)) continue;
    if (isAnomalous(segment)) {
      const following = segments.slice(i + 1).find(hasWords);
      const followingStart = following?.words[0]?.start ?? windowStart + secondsAt(layout.size);
      const silenceBefore =
        segment.start - last > threshold ||
        segment.start < threshold ||
        segment.start - windowStart < edge;
      const silenceAfter =
        followingStart - segment.end > threshold ||
        isAnomalous(following) ||
        windowEnd - segment.end < edge;
      if (silenceBefore && silenceAfter) {
        const isLast = secondsAt(frames) - segment.end < threshold;
        const again = Math.max(windowStart + 1, segment.start) * framesPerSecond;
        return { keep: i, next: isLast ? frames : roundHalfEven(again) };
      }
    }
    last = segment.end;
  }
  return { keep: segments.length, next: undefined };
}
